"""Adversarial training of a generator and its encoders on frozen features."""
