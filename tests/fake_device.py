"""A device that is not there: tensors that say they lie on it, computed on the CPU, and counted.

What a real device refuses is refused here, too: tensors of the host among its own, random numbers
drawn with a generator of the host, and, as an Apple GPU, numbers of 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

aten = torch.ops.aten

DEVICE = "meta"
"""What it calls itself: of the types that torch knows, the one that needs no library."""

LOOKS = {aten.nonzero.default, aten.equal.default, aten.masked_select.default}
"""Operations of which the host has to wait for the result."""


class OnDevice(Tensor):
    """A tensor on the fake device; `on_host` holds its values."""

    on_host: Tensor

    @staticmethod
    def of(inner: Tensor) -> OnDevice:
        """Wrap a tensor of the host."""
        made = Tensor._make_wrapper_subclass(
            OnDevice,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(DEVICE),
        )
        made.on_host = inner
        wrapped: OnDevice = made
        return wrapped

    def tolist(self) -> Any:
        """Read all values, as torch does; it would refuse a class that is not its own."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        raise RuntimeError(f"{func} outside of FakeDevice")


class _Generator(torch.Generator):
    """Stands in for torch.Generator, which knows no such device."""

    of_device: ClassVar[set[int]] = set()

    def __new__(cls, device: torch.device | str = "cpu") -> _Generator:
        made = super().__new__(cls)
        if torch.device(device).type == DEVICE:
            cls.of_device.add(_address(made))
        return made


def _address(generator: torch.Generator) -> int:
    """Return what tells generators apart: each way through torch gives them a new Python object."""
    address: int = generator._cdata  # type: ignore[attr-defined]
    return address


class _FromNumbers(TorchFunctionMode):
    """Makes tensors of numbers on the host first, then sends them: as for any other device."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor):
            device = kwargs.pop("device", None)
            made = func(*args, **kwargs)
            return made if device is None else made.to(device)
        if func is Tensor.new_tensor and isinstance(args[0], OnDevice):
            dtype = kwargs.get("dtype") or args[0].dtype
            return torch.tensor(args[1], dtype=dtype).to(DEVICE)
        return func(*args, **kwargs)


class FakeDevice(TorchDispatchMode):
    """Runs what is inside with the device, and counts what goes there and back.

    uploads and reads are the operations that copy to it and from it.
    """

    def __init__(self, *, has_doubles: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uploads: list[str] = []
        self.reads: list[str] = []
        self._has_doubles = has_doubles
        self._around = ExitStack()

    def __enter__(self) -> FakeDevice:
        self._around.enter_context(patch.object(torch, "Generator", _Generator))
        self._around.enter_context(_FromNumbers())
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._around.close()
        _Generator.of_device.clear()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        wrappers: dict[int, OnDevice] = {}
        here: list[Tensor] = []

        def unwrap(x: Any) -> Any:
            if isinstance(x, OnDevice):
                wrappers[id(x.on_host)] = x
                return x.on_host
            if isinstance(x, Tensor):
                here.append(x)
            return x

        given = tuple(args), kwargs
        args, kwargs = tree_map(unwrap, given)
        asked = kwargs.get("device")
        goes_there = asked is not None and torch.device(asked).type == DEVICE
        if goes_there:
            kwargs["device"] = torch.device("cpu")
        leaves = asked is not None and not goes_there and bool(wrappers)
        if not wrappers and not goes_there:
            return func(*args, **kwargs)
        self._check(func, here, kwargs, bool(wrappers))
        if func is aten._to_copy.default and goes_there and not wrappers:
            self.uploads.append(str(func))
        if leaves or func in LOOKS or func is aten._local_scalar_dense.default:
            self.reads.append(str(func))
        if func is aten.index.Tensor and any(_is_mask(each) for each in args[1]):
            self.reads.append("a boolean index")
        found = func(*args, **kwargs)
        if torch.Tag.inplace_view in func.tags:
            with no_dispatch():  # the wrapper takes on the new shape, too
                func(*given[0], **given[1])
        if leaves:
            return found
        return tree_map(lambda x: self._wrap(x, wrappers), found)

    def _check(
        self, func: Any, here: Sequence[Tensor], kwargs: Mapping[str, Any], on_device: bool
    ) -> None:
        moves = func in (aten._to_copy.default, aten.copy_.default)
        if on_device and not moves and any(x.ndim > 0 for x in here):
            raise RuntimeError(f"{func}: tensors of the host among those of {DEVICE}")
        generator = kwargs.get("generator")
        if generator is not None and _address(generator) not in _Generator.of_device:
            raise RuntimeError(f"{func}: a {DEVICE} generator is expected, this is the host's")
        if not self._has_doubles and kwargs.get("dtype") is torch.float64:
            raise TypeError(f"{func}: {DEVICE} has no float64")

    def _wrap(self, x: Any, known: Mapping[int, OnDevice]) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, OnDevice):
            return x
        return known[id(x)] if id(x) in known else OnDevice.of(x)


def _is_mask(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype == torch.bool
