"""What this machine has, which weights are present, and what will be used."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.machine.bench import Bench
from pipeline.machine.devices import versions

if TYPE_CHECKING:
    from stylegan2.downloads.known_file import KnownFile


def examine(bench: Bench) -> dict[str, dict[str, Any]]:
    """Gather the facts, by section. Downloads nothing."""
    return {
        "machine": _machine(),
        "software": {"python": platform.python_version(), **versions()},
        "weights": _weights(),
        "in use": _in_use(bench),
    }


def _machine() -> dict[str, Any]:
    import torch

    from stylegan2.environment import cache_folder

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append(f"cuda ({torch.cuda.get_device_name()})")
    if torch.backends.mps.is_available():
        devices.append("mps")
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": ", ".join(devices),
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        facts["memory"] = f"{pages * size / 1e9:.1f} GB"
    facts["this folder"] = f"{Path.cwd()}, {_free(Path.cwd())}"
    facts["cache"] = f"{cache_folder()}, {_free(cache_folder())}"
    return facts


def _free(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    free = f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"
    return free if os.access(folder, os.W_OK) else f"{free}, cannot be written"


def _weights() -> dict[str, Any]:
    from inversion.faces.fan import WEIGHTS
    from inversion.perceptual import BACKBONES
    from inversion.torch_hub import checkpoints_folder
    from stylegan2.embedded import EMBEDDED_NETWORKS

    here = {True: "here", False: "not here"}
    facts = {
        each.name: f"{here[each.path.exists()]}: {each.path.name}" for each in EMBEDDED_NETWORKS
    }
    known = {**{f"face-alignment {i}": file for i, file in enumerate(WEIGHTS, 1)}, **BACKBONES}
    for name, file in known.items():
        path = checkpoints_folder() / file.name
        facts[name] = f"{here[path.exists()]} ({file.megabytes} MB): {path}"
    return facts


def _in_use(bench: Bench) -> dict[str, Any]:
    from inversion.config import OFFLINE_PERCEPTUAL
    from inversion.faces.fan import WEIGHTS
    from inversion.perceptual import BACKBONES
    from inversion.torch_hub import checkpoints_folder
    from stylegan2.embedded import EMBEDDED
    from stylegan2.environment import downloads_are_off

    def here(*files: KnownFile) -> bool:
        return all((checkpoints_folder() / file.name).exists() for file in files)

    offline = downloads_are_off()
    missing = "offline" if offline else "a download if it can be had, else offline"
    return {
        "device": bench.device,
        "network": EMBEDDED,
        "faces found by": "face-alignment" if here(*WEIGHTS) else missing,
        "faces compared by": (
            "lpips-vgg" if here(BACKBONES["lpips-vgg"]) else f"{missing} ({OFFLINE_PERCEPTUAL})"
        ),
        "convolutions": _convolutions(),
        "downloads": "switched off (REALDRAG_OFFLINE)" if offline else "allowed",
    }


def _convolutions() -> str:
    from stylegan2 import packed

    reason = packed.why_not()
    return "packed on a CPU" if reason is None else f"not packed, slower on a CPU: {reason}"
