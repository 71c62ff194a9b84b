"""Convolutions on a CPU with weights that stay the same, packed once.

oneDNN, which makes torch's convolutions there, wants weights in an order of its own, and torch
brings them into it at every call: for a map of few pixels that takes longer than the products.
The compiler of torch packs them beforehand, with the operators used here; they know no autograd.
They are not part of torch's public interface, so they are tried before they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")
"""The operators could apply one to the result: its name, its numbers, its algorithm."""

MOST_ORDERS = 3
"""Packed copies of one weight that are kept: oneDNN knows about as many orders for it."""

DATA_TYPE_END = 108
"""In oneDNN's memory descriptor: a count of dimensions, twelve of eight bytes, and the type."""


def can_pack(x: Tensor, *others: Tensor) -> bool:
    """Tell whether a convolution of x can be packed: on a CPU, and nobody asks for gradients.

    Neither by x nor by what else it is made of.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in (x, *others)))
        and bool(torch.backends.mkldnn.enabled)
        and why_not() is None
    )


class PackedConv2d:
    """A convolution without bias: as F.conv2d, or with transposed=True as F.conv_transpose2d.

    weight has the shape that those take, and must not change; turned says that its kernels are
    turned by half a turn. x [N, in, H, W] is brought to channels last, which is also the layout of
    the result. See `can_pack`.
    """

    def __init__(
        self,
        weight: Tensor,
        *,
        stride: int = 1,
        groups: int = 1,
        transposed: bool = False,
        turned: bool = False,
    ) -> None:
        self._source = weight.detach()
        self._stride = [stride, stride]
        self._groups = groups
        self._transposed = transposed
        self._turned = turned
        self._by_width: dict[int, Tensor] = {}
        self._orders: list[tuple[bytes, Tensor]] = []

    def __call__(self, x: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
        """Convolve x [N, in, H, W], with so many zeros above and below, left and right."""
        x = x.contiguous(memory_format=torch.channels_last)
        # How oneDNN wants the weights depends on the width of the result. Other ones it would
        # bring into that order itself, and for that takes ten times as long as for the products.
        width = x.shape[3] + 2 * padding[1]
        packed = self._by_width.get(width)
        if packed is None:
            packed = self._by_width[width] = self._packed_for(x.shape, padding)
        inputs = (x, packed, None, list(padding))
        shape = (self._stride, [1, 1], self._groups)
        out: Tensor
        if self._transposed:
            out = torch.ops.mkldnn._convolution_transpose_pointwise(
                *inputs, [0, 0], *shape, *NO_ACTIVATION
            )
        else:
            out = torch.ops.mkldnn._convolution_pointwise(*inputs, *shape, *NO_ACTIVATION)
        return out

    def _packed_for(self, size: Sequence[int], padding: tuple[int, int]) -> Tensor:
        """Pack the weight for an input of that size, or find it among those kept."""
        weight = self._source.flip(2, 3) if self._turned else self._source
        weight, ones = weight.contiguous(), [1, 1]
        operators, rest = torch.ops.mkldnn, (self._stride, ones, self._groups, list(size))
        packed: Tensor
        if self._transposed:
            packed = operators._reorder_convolution_transpose_weight(
                weight, list(padding), [0, 0], *rest
            )
        else:
            packed = operators._reorder_convolution_weight(weight, list(padding), *rest)
        order = _order_of(packed)
        for known, same in self._orders:
            if order is not None and known == order:
                return same
        self._orders.append((order or b"", packed))
        if len(self._orders) > MOST_ORDERS:
            _, oldest = self._orders.pop(0)
            self._by_width = {w: each for w, each in self._by_width.items() if each is not oldest}
        return packed


def _order_of(packed: Tensor) -> bytes | None:
    """Return in which order a packed weight lies, None where this build of torch does not tell.

    A mistake here costs time only: an order that does not fit is changed at every call.
    """
    try:
        words = torch.ops.mkldnn._get_mkldnn_serialized_md(packed).numpy().tobytes()
    except (AttributeError, RuntimeError):
        return None
    # What fills the four bytes of the data type up to eight means nothing.
    return bytes(words[:DATA_TYPE_END] + words[DATA_TYPE_END + 4 :])


@cache
def why_not() -> str | None:
    """Return why this build of torch cannot pack, None where it can: it is tried, once."""
    if not torch.backends.mkldnn.is_available():
        return "this build of torch has no oneDNN"
    try:
        with torch.no_grad():
            right = _packs_as_torch_convolves()
    except Exception as error:  # operators that are private may be gone, or take other arguments
        return f"torch {torch.__version__} packs in another way ({type(error).__name__}: {error})"
    return None if right else f"torch {torch.__version__} packs with another result"


def _packs_as_torch_convolves() -> bool:
    """Compare each kind of packed convolution with torch's own on a small example."""
    x = torch.arange(4 * 36, dtype=torch.float32, device="cpu").sin().reshape(1, 4, 6, 6)
    weight = torch.arange(6 * 4 * 9, dtype=torch.float32, device="cpu").cos().reshape(6, 4, 3, 3)
    back = weight.transpose(0, 1)
    depthwise = weight[:4, :1]
    pairs = (
        (PackedConv2d(weight)(x, (1, 1)), F.conv2d(x, weight, padding=1)),
        (PackedConv2d(weight, stride=2)(x), F.conv2d(x, weight, stride=2)),
        (
            PackedConv2d(depthwise, groups=4)(x, (2, 1)),
            F.conv2d(x, depthwise, padding=(2, 1), groups=4),
        ),
        (
            PackedConv2d(back, stride=2, transposed=True)(x),
            F.conv_transpose2d(x, back, stride=2),
        ),
    )
    return all(torch.allclose(ours, own, rtol=1e-4, atol=1e-4) for ours, own in pairs)
