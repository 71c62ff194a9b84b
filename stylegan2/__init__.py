"""StyleGAN2: the generator, and everything about its weights."""
