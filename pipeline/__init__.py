"""The stages on disk, and the doors for people."""
