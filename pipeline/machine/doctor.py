"""What this machine has, which weights are present, what will be used, and what is wrong."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.machine.bench import Bench
from pipeline.machine.devices import versions
from pipeline.machine.installation import package_folders, strangers

if TYPE_CHECKING:
    from stylegan2.downloads.known_file import KnownFile

Findings = dict[str, Any]


def examine(bench: Bench) -> Findings:
    """Gather the facts, by section, as plain JSON values. Downloads nothing, writes nothing."""
    folders = package_folders()
    weights = _weights()
    return {
        "machine": _machine(),
        "software": {"python": platform.python_version(), **versions()},
        "packages": {name: folder and str(folder) for name, folder in folders.items()},
        "weights": weights,
        "downloads": _downloads(weights),
        "in use": _in_use(bench, weights),
        "problems": list(strangers(distributions(), folders)),
    }


def describe(findings: Findings) -> Iterator[str]:
    """Yield the findings as lines for people."""
    for section, facts in findings.items():
        yield section
        if isinstance(facts, list):
            yield from (f"  {sentence}" for sentence in facts or ["none"])
            continue
        for name, value in facts.items():
            yield f"  {name:<20} {_words(value)}"


def _words(value: Any) -> str:
    match value:
        case {"state": state, "megabytes": megabytes, "file": file}:
            return f"{state}, {megabytes} MB: {file}"
        case list():
            return ", ".join(map(str, value)) or "nothing"
        case None:
            return "not found"
        case bool():
            return "yes" if value else "no"
    return str(value)


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
        "devices": devices,
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
    """Say of each file of weights where it lies or would lie; known hashes are checked."""
    from inversion.faces.fan import WEIGHTS
    from inversion.perceptual import BACKBONES
    from inversion.torch_hub import checkpoints_folder
    from stylegan2.downloads.known_file import is_whole
    from stylegan2.embedded import EMBEDDED_NETWORKS
    from stylegan2.known_networks import KNOWN_NETWORKS
    from stylegan2.zoo import is_present, resolve

    facts = {}
    for network in EMBEDDED_NETWORKS:
        here = network.path.is_file()
        megabytes = round(network.path.stat().st_size / 1e6) if here else 0
        facts[network.name] = _file("here" if here else "not here", megabytes, network.path)
    for known in KNOWN_NETWORKS.values():
        if is_present(known.name):
            facts[known.name] = _file("here", known.size_mb, resolve(known.name))

    def state(file: KnownFile) -> str:
        if is_whole(file, checkpoints_folder()):
            return "here"
        there = (checkpoints_folder() / file.name).exists()
        return "damaged, or another version" if there else "not here"

    named = {f"face-alignment {i}": file for i, file in enumerate(WEIGHTS, start=1)}
    for name, file in {**named, **BACKBONES}.items():
        facts[name] = _file(state(file), file.megabytes, checkpoints_folder() / file.name)
    return facts


def _file(state: str, megabytes: int, path: Path) -> dict[str, Any]:
    return {"state": state, "megabytes": megabytes, "file": str(path)}


def _downloads(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Say what would be fetched when a photo is edited with settings left on "auto"."""
    from stylegan2.environment import OFFLINE_VARIABLE, downloads_are_off

    off = downloads_are_off()
    wanted = [] if off else ["face-alignment 1", "face-alignment 2", "lpips-vgg"]
    missing = [name for name in wanted if weights[name]["state"] != "here"]
    return {
        "allowed": not off,
        **({"because": f"switched off by {OFFLINE_VARIABLE}"} if off else {}),
        "at first use": missing,
        "megabytes": sum(weights[name]["megabytes"] for name in missing),
    }


def _in_use(bench: Bench, weights: Mapping[str, Any]) -> dict[str, Any]:
    from inversion.config import OFFLINE_PERCEPTUAL
    from stylegan2.embedded import EMBEDDED
    from stylegan2.environment import downloads_are_off

    def best(library: str, *names: str, instead: str) -> str:
        if importlib.util.find_spec(library) is None:
            return f"{instead} ({library} is not installed)"
        if all(weights[name]["state"] == "here" for name in names):
            return names[0].split()[0]
        if downloads_are_off():
            return instead
        return f"{names[0].split()[0]} if its weights can be downloaded, else {instead}"

    finder = "the built-in face finder"
    return {
        "device": bench.device,
        "network": EMBEDDED,
        "faces found by": best(
            "face_alignment", "face-alignment 1", "face-alignment 2", instead=finder
        ),
        "faces compared by": best("lpips", "lpips-vgg", instead=OFFLINE_PERCEPTUAL),
        "convolutions": _convolutions(),
    }


def _convolutions() -> str:
    from stylegan2 import packed

    reason = packed.why_not()
    return "packed on a CPU" if reason is None else f"not packed, slower on a CPU: {reason}"
