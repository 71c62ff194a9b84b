"""Jobs: what a command or the studio asks of a workspace, stage after stage."""
