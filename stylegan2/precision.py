"""The choice between fp32 and bf16, for the configs that offer it; loads no torch."""

from __future__ import annotations

PRECISION = {
    "help": "Arithmetic of the blocks from 64 pixels on: auto takes bf16 for networks of "
    "512 pixels and more where the processor is faster with it, else fp32. Pictures are "
    "rendered in fp32 in any case.",
    "choices": ("auto", "fp32", "bf16"),
    "source": "ours, measured: benchmarks/IDEAS.md, Speed",
}
"""Metadata of a config's field; `pipeline.machine.precision.bf16_from` says what a value means."""
