"""What is made from a convolution's weight, and kept for as long as the weight stays the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from stylegan2.ops import weight_energy
from stylegan2.packed import PackedConv2d, can_pack

T = TypeVar("T")

FEW_PIXELS = 48**2
"""Packing weights pays for maps up to this size; above it the products take nearly all the time."""

FEW_WEIGHTS = 2**17
"""So few are packed for maps of any size."""


class Weight(nn.Parameter):
    """A parameter that notices every change of its values, those made through `data` as well.

    torch counts in-place changes, but lets `parameter.data.copy_(...)` go uncounted.
    """

    @property
    def data(self) -> Tensor:
        """The same values without autograd."""
        return self.detach()  # unlike torch's `data` it counts changes together with this tensor

    @data.setter
    def data(self, value: Tensor) -> None:
        nn.Parameter.data.__set__(self, value)  # type: ignore[attr-defined]
        # The new values may lie where values once lay that something has been made from.
        torch.autograd.graph.increment_version(self)


class WeightForms:
    """Other forms of one weight [out, in, k, k]; layers of equal weights may share them.

    None is kept of a weight whose changes go unnoticed: one that asks for gradients, or that is
    no `Weight`.
    """

    def __init__(self, *, up: bool) -> None:
        self._up = up
        self._energy = _Kept(weight_energy)
        self._for_transposed = _Kept(_for_transposed)
        self._packed = _Kept(_packed_up if up else PackedConv2d)
        self._packed_adjoint = _Kept(_packed_down if up else _packed_turned)

    def __deepcopy__(self, memo: dict[int, Any]) -> WeightForms:
        return WeightForms(up=self._up)

    @staticmethod
    def packs(weight: Tensor, x: Tensor, *others: Tensor) -> bool:
        """Tell whether a convolution of x is made with packed weights: they are another copy."""
        pays = x.shape[2] * x.shape[3] <= FEW_PIXELS or weight.numel() <= FEW_WEIGHTS
        return pays and can_pack(x, *others, weight)

    def energy(self, weight: Tensor) -> Tensor:
        """Return the sum of squares of each kernel [out, in]."""
        return self._energy.of(weight)

    def for_transposed(self, weight: Tensor) -> Tensor:
        """Return the same weight in the order that transposed convolutions read fastest."""
        return self._for_transposed.of(weight)

    def packed(self, weight: Tensor) -> PackedConv2d:
        """Return the convolution, packed."""
        return self._packed.of(weight)

    def packed_adjoint(self, weight: Tensor) -> PackedConv2d:
        """Return the adjoint of the convolution, [out] channels to [in], packed."""
        return self._packed_adjoint.of(weight)


class _Kept(Generic[T]):
    def __init__(self, make: Callable[[Tensor], T]) -> None:
        self._make = make
        self._kept: tuple[tuple[int, int, torch.dtype], T] | None = None

    def of(self, weight: Tensor) -> T:
        if weight.requires_grad or not isinstance(weight, Weight):
            return self._make(weight)
        state = (weight._version, weight.data_ptr(), weight.dtype)
        kept = self._kept
        if kept is None or kept[0] != state:
            kept = self._kept = (state, self._make(weight))
        return kept[1]


def _for_transposed(weight: Tensor) -> Tensor:
    return weight.transpose(0, 1).contiguous(memory_format=torch.channels_last).transpose(0, 1)


def _packed_up(weight: Tensor) -> PackedConv2d:
    return PackedConv2d(weight.transpose(0, 1), stride=2, transposed=True)


def _packed_down(weight: Tensor) -> PackedConv2d:
    return PackedConv2d(weight.transpose(0, 1), stride=2)


def _packed_turned(weight: Tensor) -> PackedConv2d:
    return PackedConv2d(weight.transpose(0, 1), turned=True)
