"""Generators for the field's other tools. No pickle is written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file

from stylegan2.checkpoint import FORMAT, save_generator
from stylegan2.generator import Generator
from stylegan2.ops import FIR_TAPS
from stylegan2.whole_file import replacing

ExportLayout = Literal["realdrag", "nvidia"]


def export_network(generator: Generator, path: Path, layout: ExportLayout = "realdrag") -> None:
    """Write a generator as safetensors.

    "nvidia" adds the constant filters, so that the tensors are exactly those of the state_dict of
    NVIDIA's Generator and load there with strict=True; "realdrag" leaves them out.
    """
    if layout == "realdrag":
        save_generator(generator, path)
        return
    tensors = {
        name: tensor.detach().to("cpu", torch.float32).contiguous()
        for name, tensor in generator.state_dict().items()
    }
    taps = torch.tensor(FIR_TAPS)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2
    for name, _ in generator.synthesis.layers():
        block = name.partition(".")[0]
        for owner in (block, name):
            tensors[f"synthesis.{owner}.resample_filter"] = kernel.clone()
    metadata = {"format": FORMAT}
    if generator.config.conv_clamp is not None:
        metadata["conv_clamp"] = repr(generator.config.conv_clamp)
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)
