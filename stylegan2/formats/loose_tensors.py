"""Tensors that lie loose in a file: .npy, .npz, a .pt or pickle of them.

The kind is told by content; nothing of the file is executed, and no more memory is taken than
the caller allows.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.lib.format
import torch
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.stored import StoredArray, StoredTensor
from stylegan2.formats.torch_files import load_objects, map_file

MAX_FILE_BYTES = 64 << 20
"""Above this a .npz is not opened."""

ALONE = ""
"""The name of a tensor that a file holds alone, without one."""


def read_loose(path: Path, most_bytes: int) -> dict[str, Tensor]:
    """Read the tensors of a file by name; a single one without a name is `ALONE`.

    What else a dictionary holds is left out. Raises WeightsInvalid, and UnsafeCheckpoint for a
    file that asks for more than tensors.
    """
    data = map_file(path)
    if bytes(data[:6]) == b"\x93NUMPY":
        return {ALONE: _array(bytes(data[: most_bytes + 1]))}
    if _is_npz(data):
        return _entries(data, most_bytes)
    if not re.match(rb"PK\x03\x04|\x80[\x02-\x05]|c[\w.]+\n[\w.]+\n|[]})(]", bytes(data[:512])):
        raise WeightsInvalid("it is no .npy, .npz or .pt file, nor a pickle of tensors")
    stored = load_objects(data)
    found: Mapping[object, object] = stored if isinstance(stored, dict) else {ALONE: stored}
    tensors, left = {}, most_bytes
    for name, each in found.items():
        if isinstance(name, str) and isinstance(each, StoredTensor | StoredArray):
            left -= max(each.nbytes, 0)
            if left < 0:
                raise WeightsInvalid("it is far too large")
            tensors[name] = each.load()
    if not tensors:
        raise WeightsInvalid("a tensor was expected")
    return tensors


def _is_npz(data: memoryview) -> bool:
    """Tell numpy's zip files from torch's, whose first entry is a folder's."""
    if bytes(data[:4]) != b"PK\x03\x04":
        return False
    length = int.from_bytes(data[26:28], "little")
    return bytes(data[30 : 30 + length]).endswith(b".npy")


def _entries(data: memoryview, most_bytes: int) -> dict[str, Tensor]:
    """Read every array of a .npz."""
    if len(data) > MAX_FILE_BYTES:
        raise WeightsInvalid("it is far too large")
    tensors, left = {}, most_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as file:
                        content = file.read(left + 1)
                    left -= len(content)
                    if left < 0:
                        raise WeightsInvalid(f"its entry {name[:-4]} is damaged or far too large")
                    tensors[name.removesuffix(".npy")] = _array(content)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise WeightsInvalid(f"the file is damaged ({error})") from error
    return tensors


def _array(content: bytes) -> Tensor:
    """Read a .npy; its header is checked against the bytes that are there."""
    file = io.BytesIO(content)
    try:
        version = numpy.lib.format.read_magic(file)
        read_header = {
            (1, 0): numpy.lib.format.read_array_header_1_0,
            (2, 0): numpy.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(file)
        if dtype.kind != "f":
            raise ValueError("numbers expected")
        if math.prod(shape) * dtype.itemsize != len(content) - file.tell():
            raise ValueError("it has more or fewer numbers than it says")
        flat = np.frombuffer(file.read(), dtype)
        array = flat.reshape(shape, order="F" if fortran_order else "C")
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise WeightsInvalid(f"its array is damaged ({error})") from error
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
