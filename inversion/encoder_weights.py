"""The encoders in the package: written, read, and found by the generator that they know."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from inversion.encoder_networks import DeltaEncoder, Encoder, FaceEncoder
from inversion.encoders import encoder_file_for

LEVELS = 127
"""Weights are stored as whole numbers up to this one: half the size of float16, and latents move
by a hundredth of what faces differ by."""


@cache
def encoder_for(weights: str) -> FaceEncoder | None:
    """Return the encoder of the generator with this weights hash; None if there is none."""
    path = encoder_file_for(weights)
    return None if path is None else read_encoder(path)


def read_encoder(path: Path) -> FaceEncoder:
    """Read what `write_encoder` wrote."""
    with safe_open(path, framework="pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    encoder = FaceEncoder(
        Encoder(sizes["w_dim"]),
        DeltaEncoder(sizes["w_dim"], sizes["num_ws"]) if "num_ws" in sizes else None,
    )
    for part, module in _parts(encoder).items():
        own = {
            name.removeprefix(f"{part}."): _restored(tensors, name)
            for name in tensors
            if name.startswith(f"{part}.") and not name.endswith(".scale")
        }
        module.load_state_dict(own)
        module.eval().requires_grad_(False)
    return encoder


def write_encoder(encoder: FaceEncoder, path: Path, weights: str) -> None:
    """Write an encoder of the generator with this weights hash.

    Weights become int8 with a float32 scale for each of their rows, biases float16.
    """
    tensors: dict[str, Tensor] = {}
    for part, module in _parts(encoder).items():
        for name, tensor in module.state_dict().items():
            if tensor.ndim < 2:
                tensors[f"{part}.{name}"] = tensor.detach().half().contiguous()
                continue
            rows = tensor.detach().float().flatten(1)
            scale = (rows.abs().amax(dim=1, keepdim=True) / LEVELS).clamp_min(1e-12)
            stored = (rows / scale).round().to(torch.int8)
            tensors[f"{part}.{name}"] = stored.reshape(tensor.shape).contiguous()
            tensors[f"{part}.{name}.scale"] = scale[:, 0].contiguous()
    sizes = {"w_dim": encoder.w.out.weight.shape[0]}
    if encoder.delta is not None:
        sizes["num_ws"] = encoder.delta.num_ws
    path.write_bytes(save(tensors, metadata={"generator": weights, "sizes": json.dumps(sizes)}))


def _parts(encoder: FaceEncoder) -> dict[str, torch.nn.Module]:
    return {"w": encoder.w} if encoder.delta is None else {"w": encoder.w, "delta": encoder.delta}


def _restored(tensors: dict[str, Tensor], name: str) -> Tensor:
    scale = tensors.get(f"{name}.scale")
    tensor = tensors[name]
    return tensor if scale is None else (tensor.flatten(1) * scale[:, None]).reshape(tensor.shape)
