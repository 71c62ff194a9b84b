"""Dragging: tuned generator and points to an edit, after DragGAN (arXiv 2305.10973)."""
