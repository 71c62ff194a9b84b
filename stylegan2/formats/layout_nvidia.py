"""NVIDIA's PyTorch generators: ADA and StyleGAN3-repo pickles, and PTI's pickle of the same class.

The names are ours. Each object carries its attributes (conv_clamp, activation, architecture),
which are read, and its source code, which is not. conv_clamp is an attribute of every layer; the
two repositories have different defaults for it, so the constructor's arguments come second.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import torch

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layouts import (
    MAX_PARTS,
    MEAN_MEASURED,
    ForeignWeights,
    UnsupportedNetwork,
    check_activation,
    check_architecture,
    check_filter,
    check_labels,
    load_all,
    named,
    number,
    scale_mapping,
    with_noise,
)
from stylegan2.formats.stored import Record


def from_persistent(generator: Record, layout: str, limit: int) -> ForeignWeights:
    """Read a Generator object's tensors and settings. Raises as `load_network` does."""
    modules = _modules(generator)
    stored = _tensors(modules)
    check_labels(generator.state.get("c_dim"), stored)
    clamps = set()
    for name, record in modules.items():
        if re.fullmatch(r"synthesis\.b\d+\.conv[01]\.", name):
            check_activation(record.state.get("activation", "lrelu"))
            clamps.add(number(record.state.get("conv_clamp", _init_clamp(generator))))
        elif re.fullmatch(r"mapping\.fc\d+\.", name):
            check_activation(record.state.get("activation", "lrelu"))
        elif re.fullmatch(r"synthesis\.b\d+\.", name):
            check_architecture(record.state.get("architecture", "skip"))
    weights = from_nvidia_names(stored, layout, limit)
    if len(clamps) != 1:
        raise UnsupportedNetwork(
            f"the layers clamp at different values: {sorted(map(str, clamps))}"
        )
    for name, record in modules.items():
        if re.fullmatch(r"mapping\.fc\d+\.", name) and "bias_gain" in record.state:
            scale_mapping(weights.tensors, name, number(record.state["bias_gain"]))
    return dataclasses.replace(weights, conv_clamp=clamps.pop())


def _modules(root: Record) -> dict[str, Record]:
    """Find every module below root, by its dotted prefix ("synthesis.b8.")."""
    queue = [("", root)]
    for prefix, record in queue:  # grows while it is read; a file may hold loops
        for name, child in named(record.state.get("_modules")).items():
            if len(queue) > MAX_PARTS or len(prefix) + len(name) > 200:
                raise WeightsInvalid("the network's modules hold one another; the file is damaged")
            if isinstance(child, Record):
                queue.append((f"{prefix}{name}.", child))
    return dict(queue)


def _tensors(modules: Mapping[str, Record]) -> dict[str, object]:
    """Find every parameter and buffer by its dotted name."""
    stored: dict[str, object] = {}
    for prefix, record in modules.items():
        for group in ("_parameters", "_buffers"):
            for name, value in named(record.state.get(group)).items():
                if len(stored) > MAX_PARTS or len(name) > 200:
                    raise WeightsInvalid("the network has too many tensors; the file is damaged")
                if value is not None:
                    stored[f"{prefix}{name}"] = value
    return stored


def _init_clamp(generator: Record) -> object:
    """Look conv_clamp up in the constructor's arguments (both repositories' ways)."""
    arguments = named(generator.state.get("_init_kwargs"))
    return {**arguments, **named(arguments.get("synthesis_kwargs"))}.get("conv_clamp")


def from_nvidia_names(stored: Mapping[str, object], layout: str, limit: int) -> ForeignWeights:
    """Read a state dict with NVIDIA's names; the clamp is not in one."""
    _refuse_other_generators(stored)
    tensors = load_all(stored, limit)
    for name in [name for name in tensors if name.endswith("resample_filter")]:
        check_filter(name, tensors.pop(name), gain=1.0)
    missing = "mapping.w_avg" not in tensors and "mapping.fc0.bias" in tensors
    if missing:  # a generator may be built, or stored, without it
        tensors["mapping.w_avg"] = torch.zeros_like(tensors["mapping.fc0.bias"])
    notices = (MEAN_MEASURED,) if missing else ()
    return ForeignWeights(layout, with_noise(tensors, torch.zeros), None, missing, notices)


def _refuse_other_generators(names: Mapping[str, object]) -> None:
    if any(re.match(r"synthesis\.(input\.freqs|L\d+_)", name) for name in names):
        raise UnsupportedNetwork(
            "this is a StyleGAN3 generator; realdrag needs a StyleGAN2 one (its synthesis differs "
            "and takes no noise)"
        )
    if any(name.endswith(".skip.weight") for name in names):
        check_architecture("resnet")
    if "synthesis.b4.const" in names and "synthesis.b4.torgb.weight" not in names:
        check_architecture("orig")
