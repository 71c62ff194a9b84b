"""Latents for the field's other tools, and latents from them. No pickle is written.

projected_w.npz (NVIDIA's projector): key w, [1, num_ws, w_dim] float32. PTI's pivots (0.pt), e4e's
latents and DragGAN's: torch.save of one tensor, [1, num_ws, w_dim]; w alone is [1, w_dim].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.loose_tensors import ALONE, read_loose
from stylegan2.formats.stored import UnsafeCheckpoint
from stylegan2.whole_file import replacing

MAX_LATENTS_BYTES = 1 << 20
"""Far above 18 latents of 512 float64 (74 kB)."""


class LatentsInvalid(Exception):
    """A file does not hold latents for this generator."""


def write_latents(ws: Tensor, path: Path) -> None:
    """Write ws [1, num_ws, w_dim] as projected_w.npz."""
    if ws.ndim != 3 or ws.shape[0] != 1:
        raise ValueError(f"ws must be [1, num_ws, w_dim], got {tuple(ws.shape)}")
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, w=ws.detach().to("cpu").float().numpy())


def read_latents(path: Path, num_ws: int, w_dim: int) -> Tensor:
    """Read ws [1, num_ws, w_dim], float32, from projected_w.npz, or one tensor in a .pt or .npy.

    A w alone, [w_dim] or [1, w_dim], is repeated for every layer. The kind is told by content;
    nothing of the file is executed. Raises LatentsInvalid, or UnsafeCheckpoint for a file that
    asks for more than a tensor.
    """
    try:
        found = read_loose(path, MAX_LATENTS_BYTES)
        if ALONE not in found and "w" not in found:
            raise LatentsInvalid("one tensor was expected, or an entry w as projectors write it")
        ws = _ws(found["w" if "w" in found else ALONE].float(), num_ws, w_dim)
    except (WeightsInvalid, LatentsInvalid) as error:
        raise LatentsInvalid(f"{path} holds no latents: {error}") from error
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path}: {error}") from error
    return ws


def _ws(latents: Tensor, num_ws: int, w_dim: int) -> Tensor:
    shape = tuple(latents.shape)
    if len(shape) == 3 and shape[0] > 1 and shape[1:] in ((num_ws, w_dim), (1, w_dim)):
        raise LatentsInvalid(f"they are those of {shape[0]} pictures; give a file with one of them")
    if shape in ((w_dim,), (1, w_dim), (1, 1, w_dim)):
        latents = latents.reshape(1, 1, w_dim).expand(1, num_ws, w_dim)
    elif shape == (num_ws, w_dim):
        latents = latents[None]
    elif shape != (1, num_ws, w_dim):
        raise LatentsInvalid(
            f"they have the shape {list(shape)}; this generator takes {[1, num_ws, w_dim]}. Were "
            "they made with another network?"
        )
    if not latents.isfinite().all():
        raise LatentsInvalid("they hold values that are not finite")
    return latents.contiguous()
