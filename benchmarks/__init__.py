"""Benchmarks: what realdrag does to pictures and how long it takes, against the papers' methods."""
