"""What lies on disk: files that survive a kill, artifacts, workspaces."""
