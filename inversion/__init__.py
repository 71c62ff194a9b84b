"""Inversion: from a photo to an aligned face, and from there to a latent."""
