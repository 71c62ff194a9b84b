"""Convolutions on a CPU with weights that stay the same, packed once.

oneDNN, which makes torch's convolutions there, wants weights in an order of its own, and torch
brings them into it at every call: for a map of few pixels that takes longer than the products.
The compiler of torch packs them beforehand, with the operators used here; they know no autograd.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)


NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")
"""The operators could apply one to the result: its name, its numbers, its algorithm."""


@cache
def _has_operators() -> bool:
    """Tell whether this build of torch has what packing takes."""
    return bool(torch.backends.mkldnn.is_available()) and all(
        hasattr(torch.ops.mkldnn, name) for name in OPERATORS
    )


def can_pack(x: Tensor, *others: Tensor) -> bool:
    """Tell whether a convolution of x can be packed: on a CPU, and nobody asks for gradients.

    Neither by x nor by what else it is made of.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in (x, *others)))
        and bool(torch.backends.mkldnn.enabled)
        and _has_operators()
    )


class PackedConv2d:
    """A convolution without bias: as F.conv2d, or with transposed=True as F.conv_transpose2d.

    weight has the shape that those take. x [N, in, H, W] is brought to channels last, which is
    also the layout of the result. See `can_pack`.
    """

    def __init__(
        self, weight: Tensor, *, stride: int = 1, groups: int = 1, transposed: bool = False
    ) -> None:
        self._stride = [stride, stride]
        self._groups = groups
        self._transposed = transposed
        weight = weight.detach().contiguous()
        size, ones, none = None, [1, 1], [0, 0]
        operators = torch.ops.mkldnn
        if transposed:
            self._weight = operators._reorder_convolution_transpose_weight(
                weight, none, none, self._stride, ones, groups, size
            )
        else:
            self._weight = operators._reorder_convolution_weight(
                weight, none, self._stride, ones, groups, size
            )

    def __call__(self, x: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve x [N, in, H, W], with so many zeros above and below, left and right."""
        x = x.contiguous(memory_format=torch.channels_last)
        inputs = (x, self._weight, None, list(padding))
        shape = (self._stride, [1, 1], self._groups)
        out: Tensor
        if self._transposed:
            out = torch.ops.mkldnn._convolution_transpose_pointwise(
                *inputs, [0, 0], *shape, *NO_ACTIVATION
            )
        else:
            out = torch.ops.mkldnn._convolution_pointwise(*inputs, *shape, *NO_ACTIVATION)
        return out
