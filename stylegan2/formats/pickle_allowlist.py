"""What a pickle may build: the only names it may use, and what each stands for here.

Each name in CALLS stands for a few lines of this module, never for the class or function of that
name, and they build nothing but the inert data of `stylegan2.formats.stored`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from stylegan2.formats.stored import (
    NumberType,
    Record,
    Storage,
    StoredArray,
    StoredTensor,
    UnsafeCheckpoint,
)

Calls = Mapping[str, Callable[..., object]]


def _ints(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(item) is int for item in value):
        raise TypeError("a shape must be integers")
    return value


def _buffer(value: object) -> memoryview:
    if not isinstance(value, (bytes, memoryview)):
        raise TypeError("bytes expected")
    return memoryview(value)


def _new_dict(items: object = ()) -> dict[Any, object]:
    result: dict[Any, object] = {}
    if not isinstance(items, (list, tuple)):
        raise TypeError("pairs expected")
    for key, value in items:
        result[as_key(key)] = value
    return result


def new_set(items: object = ()) -> set[Any]:
    if not isinstance(items, (list, tuple)):
        raise TypeError("items expected")
    return {as_key(item) for item in items}


def as_key(value: object) -> object:
    """Let only scalars and tuples of them be keys: hashing deep ones could exhaust the C stack."""
    for each in value if isinstance(value, tuple) else (value,):
        if each is not None and not isinstance(each, (str, int, float, bool)):
            raise TypeError("a key must be text or a number")
    return value


def _new_tensor(
    storage: object, offset: object, size: object, stride: object, *_: object
) -> object:
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise TypeError("a tensor needs a storage")
    return StoredTensor(storage, offset, _ints(size), _ints(stride))


def _new_parameter(data: object, *_: object) -> object:
    if not isinstance(data, StoredTensor):
        raise TypeError("a parameter needs a tensor")
    return data


def _new_persistent(meta: object) -> Record:
    """Keep an ADA object's class name and state; its embedded source is never looked at."""
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise TypeError("not a persistent object")
    record = Record(str(meta["class_name"]))
    set_state(record, meta["state"])
    return record


def _new_number_type(code: object, *_: object) -> NumberType:
    if not isinstance(code, str) or len(code) > 8:
        raise TypeError("a dtype needs a name")
    return NumberType(np.dtype(code))


def _new_array(*_: object) -> StoredArray:
    return StoredArray()


def _array_from_buffer(data: object, dtype: object, shape: object, order: object) -> StoredArray:
    if not isinstance(dtype, NumberType):
        raise TypeError("an array needs a dtype")
    return StoredArray(_ints(shape), dtype.value, _buffer(data), order == "F")


def _new_scalar(dtype: object, data: object) -> object:
    if not isinstance(dtype, NumberType):
        raise TypeError("a number needs a dtype")
    if not dtype.is_known:
        return Record(f"a value of {dtype.value}")
    return StoredArray((), dtype.value, _buffer(data)).load().item()


def _encode(text: object, encoding: object) -> bytes:
    """Undo protocol 2's way of writing bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError("text expected")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    """Undo protocol 2's way of writing no bytes; anything else is refused by the signature."""
    return b""


def _record(kind: str) -> Callable[..., object]:
    return lambda *_: Record(kind)


def _counts(counted: object = ()) -> dict[Any, object]:
    return dict(counted) if isinstance(counted, dict) else {}


BESIDE: Calls = {
    "collections.Counter": _counts,
    "collections.defaultdict": lambda *_: {},
    "collections.deque": lambda *_: [],
    "easydict.EasyDict": lambda *_: {},
    "yacs.config.CfgNode": lambda *_: {},
    "pytorch_lightning.utilities.parsing.AttributeDict": lambda *_: {},
    "lightning_fabric.utilities.data.AttributeDict": lambda *_: {},
    **{
        f"{module}.{name}": _record(name)
        for module, names in {
            "builtins": "bool bytearray complex dict float int list range slice str tuple",
            "__builtin__": "bool bytearray complex dict float int list slice unicode tuple xrange",
            "datetime": "date datetime time timedelta timezone",
            "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
            "torch._utils": "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor_v3",
            "torch.serialization": "_get_layout",
            "torch.torch_version": "TorchVersion",
            "types": "SimpleNamespace",
        }.items()
        for name in names.split()
    },
}
"""What trainings keep beside a network: their options, counters, times, states of random numbers.

Nothing of it is needed; it must be passed over for the file to be read.
"""


CALLS: Calls = {
    **BESIDE,
    "collections.OrderedDict": _new_dict,
    "dnnlib.util.EasyDict": _new_dict,
    "builtins.set": new_set,
    "__builtin__.set": new_set,
    "builtins.frozenset": new_set,
    "__builtin__.frozenset": new_set,
    "_codecs.encode": _encode,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
    "torch.Size": lambda sizes: _ints(tuple(sizes)),
    "torch.device": lambda *parts: ":".join(
        str(part) for part in parts if type(part) in (str, int)
    ),
    "torch._utils._rebuild_tensor": _new_tensor,
    "torch._utils._rebuild_tensor_v2": _new_tensor,
    "torch._utils._rebuild_parameter": _new_parameter,
    "torch._utils._rebuild_parameter_with_state": _new_parameter,
    "torch_utils.persistence._reconstruct_persistent_obj": _new_persistent,
    "dnnlib.tflib.network.Network": _record("Network"),
    "argparse.Namespace": _record("Namespace"),
    "numpy.dtype": _new_number_type,
    "numpy.ndarray": _new_array,
    "numpy.core.multiarray._reconstruct": _new_array,
    "numpy.core.multiarray.scalar": _new_scalar,
    "numpy.core.numeric._frombuffer": _array_from_buffer,
    "numpy._core.multiarray._reconstruct": _new_array,
    "numpy._core.multiarray.scalar": _new_scalar,
    "numpy._core.numeric._frombuffer": _array_from_buffer,
}

CONSTANTS: Mapping[str, torch.dtype] = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.DoubleStorage": torch.float64,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.QInt8Storage": torch.int8,
    "torch.QUInt8Storage": torch.uint8,
    "torch.QInt32Storage": torch.int32,
    "torch.storage.UntypedStorage": torch.uint8,
    **{
        f"torch.{name}": getattr(torch, name)
        for name in (
            *("float32", "float16", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
            *("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool"),
            *("complex64", "complex128", "qint8", "quint8", "per_tensor_affine"),
        )
        if hasattr(torch, name)  # older versions have fewer
    },
}


def set_state(target: object, state: object) -> None:
    """Apply BUILD, which sets attributes: only our own inert types have any."""
    if isinstance(target, Record):
        # A class may have slots, or a state of its own kind, which nobody here reads.
        if isinstance(state, dict):
            target.state.update((name, each) for name, each in state.items() if type(name) is str)
    elif isinstance(target, StoredArray):
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], NumberType):
            raise TypeError("an array's state expected")
        target.shape, target.dtype = _ints(state[1]), state[2].value
        target.fortran_order = bool(state[3])
        # An array of Python's objects is a list of them: nothing that could be loaded.
        target.data = None if isinstance(state[4], list) else _buffer(state[4])
    elif isinstance(target, NumberType):
        if not isinstance(state, tuple) or state[1] not in ("<", ">", "|", "="):
            raise TypeError("a byte order expected")
        target.value = target.value.newbyteorder(state[1])
    elif not isinstance(target, dict):  # an OrderedDict's own attributes (_metadata) are not needed
        raise UnsafeCheckpoint("the file sets attributes of something that has none; refused")
