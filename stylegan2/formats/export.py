"""Generators and latents for the field's other tools, and latents from them. No pickle is written.

projected_w.npz (NVIDIA's projector): key w, [1, num_ws, w_dim] float32. PTI's pivots and DragGAN's
latents: torch.save of one tensor [1, num_ws, w_dim].
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.lib.format
import torch
from safetensors.torch import save_file
from torch import Tensor

from stylegan2.checkpoint import FORMAT, WeightsInvalid, save_generator
from stylegan2.formats.stored import StoredTensor, UnsafeCheckpoint
from stylegan2.formats.torch_files import load_objects, map_file
from stylegan2.generator import Generator
from stylegan2.ops import FIR_TAPS

ExportLayout = Literal["realdrag", "nvidia"]

MAX_LATENTS_BYTES = 1 << 20
"""Far above 18 latents of 512 float64 (74 kB)."""


MAX_FILE_BYTES = 64 << 20
"""Above this a .npz is not opened; projected_w.npz has one small entry."""


class LatentsInvalid(Exception):
    """A file does not hold latents for this generator."""


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
    partial = _partial(path)
    try:
        save_file(tensors, partial, metadata=metadata)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_latents(ws: Tensor, path: Path) -> None:
    """Write ws [1, num_ws, w_dim] as projected_w.npz."""
    if ws.ndim != 3 or ws.shape[0] != 1:
        raise ValueError(f"ws must be [1, num_ws, w_dim], got {tuple(ws.shape)}")
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            np.savez(file, w=ws.detach().to("cpu", torch.float32).numpy())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_latents(path: Path, num_ws: int, w_dim: int) -> Tensor:
    """Read ws [1, num_ws, w_dim], float32, from projected_w.npz or a tensor in a .pt.

    The kind is told by content; nothing of the file is executed. Raises LatentsInvalid, or
    UnsafeCheckpoint for a file that asks for more than a tensor.
    """
    try:
        data = map_file(path)
        ws = _read_npz(data) if _is_npz(data) else _read_tensor(data)
    except (WeightsInvalid, LatentsInvalid) as error:
        raise LatentsInvalid(f"{path} holds no latents: {error}") from error
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path}: {error}") from error
    if ws.shape != (1, num_ws, w_dim):
        raise LatentsInvalid(
            f"{path} holds latents of shape {list(ws.shape)}; this generator takes "
            f"{[1, num_ws, w_dim]}. Were they made with another network?"
        )
    ws = ws.float()
    if not ws.isfinite().all():
        raise LatentsInvalid(f"{path} holds latents that are not finite")
    return ws


def _read_tensor(data: memoryview) -> Tensor:
    stored = load_objects(data)
    if not isinstance(stored, StoredTensor):
        raise LatentsInvalid("a single tensor [1, num_ws, w_dim] was expected")
    if stored.nbytes > MAX_LATENTS_BYTES:
        raise LatentsInvalid("it is far too large")
    return stored.load()


def _is_npz(data: memoryview) -> bool:
    """Tell numpy's zip files from torch's, whose first entry is a folder's."""
    if bytes(data[:4]) != b"PK\x03\x04":
        return False
    length = int.from_bytes(data[26:28], "little")
    return bytes(data[30 : 30 + length]).endswith(b".npy")


def _read_npz(data: memoryview) -> Tensor:
    """Read entry w; its header is checked against the bytes that are there."""
    if len(data) > MAX_FILE_BYTES:
        raise LatentsInvalid("it is far too large")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("w.npy") as file:
            content = io.BytesIO(file.read(MAX_LATENTS_BYTES + 1))
    except KeyError:
        raise LatentsInvalid("the file has no entry w") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise LatentsInvalid(f"the file is damaged ({error})") from error
    try:
        version = numpy.lib.format.read_magic(content)
        read_header = {
            (1, 0): numpy.lib.format.read_array_header_1_0,
            (2, 0): numpy.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(content)
        if dtype.kind != "f" or len(shape) != 3:
            raise ValueError("numbers in three dimensions expected")
        flat = np.frombuffer(content.read(), dtype)
        array = flat.reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise LatentsInvalid(f"the entry w is damaged ({error})") from error
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.part")
