"""Devices of this machine, and the versions of what computes on them."""

from __future__ import annotations

DEVICES = ("auto", "cpu", "cuda", "mps")

RECORDED_PACKAGES = (
    "realdrag",
    "torch",
    "torchvision",
    "lpips",
    "face-alignment",
    "numpy",
    "pillow",
)


class DeviceUnavailable(Exception):
    """The device that was asked for is not there."""


def pick_device(choice: str) -> str:
    """Turn "auto" into the best device there is. Raises DeviceUnavailable."""
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there.append("cuda")
    if torch.backends.mps.is_available():
        there.append("mps")
    if choice == "auto":
        return there[-1]
    if choice not in there:
        raise DeviceUnavailable(
            f"this machine has no {choice} device that torch can use; it has {', '.join(there)}: "
            f"use --device {there[-1]}, or --device auto"
        )
    return choice


def versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in RECORDED_PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
