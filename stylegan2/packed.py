"""Convolutions on a CPU with weights that stay the same, packed once.

oneDNN, which makes torch's convolutions there, wants weights in an order of its own, and torch
brings them into it at every call: for a map of few pixels that takes longer than the products.
The compiler of torch packs them beforehand, with the operators used here; they know no autograd.
They are not part of torch's public interface, so they are tried before they are used.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

NO_ACTIVATION: tuple[str, list[float], str] = ("none", [], "")
"""The operators could apply one to the result: its name, its numbers, its algorithm."""


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
