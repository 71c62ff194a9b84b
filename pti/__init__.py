"""Pivotal tuning: latent -> tuned generator."""
