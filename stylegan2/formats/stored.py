"""What a foreign checkpoint is made of, as inert data.

Tensors and arrays stay where they are in the file until they are loaded. Nothing here runs
anything that a file brings along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid


class UnsafeCheckpoint(Exception):
    """A file asks for something that no network file needs; nothing of it was executed."""


@dataclass
class Record:
    """An object of a class that we do not have: the class's name and the attributes, no code."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Storage:
    """The bytes behind tensors; `data` is a view into the file, set once it has been found."""

    dtype: torch.dtype
    data: memoryview | None = None


@dataclass
class StoredTensor:
    """A tensor still in its file: where it starts in the storage, and sizes in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that `load` will allocate at most."""
        return math.prod(self.shape) * self.storage.dtype.itemsize

    def load(self) -> Tensor:
        """Copy the tensor out of the file. Raises WeightsInvalid when it reaches past its bytes.

        One that repeats a value takes more memory than the file has: callers count `nbytes`.
        """
        data, size = self.storage.data, self.storage.dtype.itemsize
        if data is None:
            raise WeightsInvalid("a tensor's values are missing from the file")
        count = math.prod(self.shape)
        if (
            min((self.offset, *self.shape, *self.stride)) < 0
            or len(self.shape) != len(self.stride)
            or len(self.shape) > 8
        ):
            raise WeightsInvalid("a tensor has an impossible shape")
        if count == 0:
            return torch.empty(self.shape, dtype=self.storage.dtype)
        steps = zip(self.shape, self.stride, strict=True)
        span = 1 + sum((length - 1) * step for length, step in steps)
        if (self.offset + span) * size > len(data):
            raise WeightsInvalid(f"a tensor of shape {self.shape} is larger than its stored values")
        chunk = bytearray(data[self.offset * size : (self.offset + span) * size])
        flat = torch.frombuffer(chunk, dtype=self.storage.dtype)
        return flat.as_strided(self.shape, self.stride).contiguous()


NUMBER_TYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"})


def is_number_type(dtype: np.dtype[Any]) -> bool:
    """Tell whether a network's weights may be stored so: not texts, objects, times."""
    return f"{dtype.kind}{dtype.itemsize}" in NUMBER_TYPES


@dataclass
class NumberType:
    """A numpy dtype; the byte order arrives after it was made."""

    value: np.dtype[Any]

    @property
    def is_known(self) -> bool:
        """Tell whether arrays of it can be loaded."""
        return is_number_type(self.value)


@dataclass
class StoredArray:
    """A numpy array still in its file."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("f4"))
    data: memoryview | None = None
    fortran_order: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes that `load` will allocate."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> Tensor:
        """Copy the array out of the file. Raises WeightsInvalid when its bytes do not fit."""
        if not is_number_type(self.dtype):
            raise WeightsInvalid(f"arrays of {str(self.dtype)[:40]} are not numbers we know")
        if (
            self.data is None
            or len(self.shape) > 8
            or min(self.shape, default=0) < 0
            or len(self.data) != self.nbytes
        ):
            raise WeightsInvalid(
                f"an array of shape {self.shape[:8]} does not fit its stored values"
            )
        flat: np.ndarray[Any, Any] = np.frombuffer(self.data, self.dtype)
        array = flat.reshape(self.shape, order="F" if self.fortran_order else "C")
        return torch.from_numpy(np.array(array, self.dtype.newbyteorder("="), order="C"))
