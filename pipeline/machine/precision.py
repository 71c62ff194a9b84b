"""Which arithmetic projection and tuning use."""

from __future__ import annotations

from pathlib import Path

BF16_FROM = 64
"""Blocks from this size on compute in bf16: smaller ones are no faster with it."""

LEAST_NETWORK = 512
"""Pixels of the smallest network for which it pays."""

CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
"""As Linux names the instructions. Processors without them compute bf16 more slowly than fp32."""


def bf16_from(precision: str, device: str, resolution: int) -> int | None:
    """Return the size of the first block that computes in bf16, None for none.

    precision is that of ProjectionConfig and TuningConfig.
    """
    if precision == "fp32" or resolution < BF16_FROM:
        return None
    if precision == "auto" and (resolution < LEAST_NETWORK or not has_fast_bf16(device)):
        return None
    return BF16_FROM


def has_fast_bf16(device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether a device is faster with bf16; on other systems than Linux a CPU says no."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_capability(device)[0] >= 8
    if device != "cpu" or not cpuinfo.is_file():
        return False
    return not CPU_FLAGS.isdisjoint(cpuinfo.read_text("utf-8", "replace").split())
