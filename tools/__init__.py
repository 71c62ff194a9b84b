"""Training of the embedded networks. Not installed with the package."""
