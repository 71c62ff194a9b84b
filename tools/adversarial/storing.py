"""Results as files: float16 tensors in parts small enough to travel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from inversion.encoder_networks import DeltaEncoder, Encoder, FaceEncoder
from stylegan2.checkpoint import build_generator
from stylegan2.generator import Generator

PART = 15_000_000
"""Bytes of tensors in a file, at most."""


class NothingStored(Exception):
    """A folder to start from lacks a network; the message names it."""


def store(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as float16 safetensors: NAME.0.safetensors, NAME.1.safetensors, ..."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in tensors.items():
        value = tensor.detach().to("cpu", torch.float16).contiguous()
        size += value.nbytes
        if size > PART and parts[-1]:
            parts.append({})
            size = value.nbytes
        parts[-1][key] = value
    folder.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(parts):
        partial = folder / f"{name}.{i}.part"
        partial.write_bytes(save(part))
        os.replace(partial, folder / f"{name}.{i}.safetensors")


def read_stored(folder: Path, name: str, *, missing_ok: bool = False) -> dict[str, Tensor]:
    """Read what `store` wrote, as float32. Raises NothingStored."""
    paths = sorted(folder.glob(f"{name}.*.safetensors"))
    if not paths and not missing_ok:
        raise NothingStored(f"{folder} holds no {name}.0.safetensors to start from")
    return {key: tensor.float() for path in paths for key, tensor in load_file(path).items()}


def read_drawing(folder: Path) -> tuple[Generator, FaceEncoder]:
    """Return the generator and the encoder that a run stored. Raises NothingStored."""
    generator = build_generator(read_stored(folder, "generator"))
    known = read_stored(folder, "encoder")
    w = Encoder(generator.w_dim, len(known["convs.0.weight"]))
    w.load_state_dict(known)
    delta = DeltaEncoder(generator.w_dim, generator.num_ws)
    delta.load_state_dict(read_stored(folder, "delta"))
    for network in (w, delta):
        network.eval().requires_grad_(False)
    return generator, FaceEncoder(w, delta)
