"""Settings: read off the config dataclasses, composed into a recipe."""
