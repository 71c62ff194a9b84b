"""Gradients of a synthesis layer for many cotangents at once, written out.

Autograd takes one cotangent at a time, and a layer of few pixels costs nearly as much for one as
for eight. The weights are constants here: what is wanted are the gradients by ws.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.layers import SynthesisLayer
from stylegan2.ops import LRELU_GAIN, LRELU_SLOPE, demodulation, fir_filter, padded

Padding = tuple[int, int, int, int]
"""Left, right, top, bottom; negative crops."""


@dataclass(frozen=True)
class LayerPass:
    """What a layer took and gave: x [1, in, h, w], styles [1, in], out [1, out, H, W].

    w_index says which of the ws the styles come from; noise [H, W] and padding are those of the
    window, None for none and for the whole map.
    """

    layer: SynthesisLayer
    w_index: int
    x: Tensor
    styles: Tensor
    noise: Tensor | None
    padding: Padding | None
    out: Tensor

    @classmethod
    def run(
        cls,
        layer: SynthesisLayer,
        w_index: int,
        x: Tensor,
        ws: Tensor,
        noise: Tensor | None,
        padding: Padding | None = None,
    ) -> LayerPass:
        """Run the layer on x with its own of ws [1, num_ws, w_dim]."""
        styles = layer.affine(ws[:, w_index])
        out = layer.styled(x, styles, noise, padding)
        return cls(layer, w_index, x, styles, noise, padding, out)

    def pull(self, cotangents: Tensor) -> tuple[Tensor, Tensor]:
        """Turn cotangents [N, out, H, W] of the output into those of x, and of w: [N, w_dim].

        With styles s, demodulation d (equation 3 of the paper), u = conv(s x) and leaky ReLU f,
        out = f(d u + noise + bias). A leaky ReLU is its own slope times its input, so that d u,
        which the gradient of d needs, follows from out. Factors that all cotangents share are
        multiplied once, beforehand: on a CPU this is bound by passes over memory.
        """
        layer, styles, out = self.layer, self.styles, self.out
        energy, after = layer.forms.energy(layer.weight), self._after
        added = (layer.bias * LRELU_GAIN)[:, None, None]
        if self.noise is not None:
            added = added + self.noise * (layer.noise_strength * LRELU_GAIN)
        demodulated = torch.where(out >= 0, out, out / LRELU_SLOPE) - added
        # d is energy @ s^2 to the power of -1/2, and this d times the cotangent of d.
        slope = self._slope()
        of_after = (cotangents * (slope * demodulated)).sum(dim=(2, 3))
        of_styles = (of_after * (after / LRELU_GAIN).square()) @ energy * -styles
        below = self._convolved(cotangents, slope)
        of_styles = of_styles + (below * self.x).sum(dim=(2, 3))
        affine = layer.affine
        return below * styles[:, :, None, None], (of_styles * affine.weight_gain) @ affine.weight

    def pull_x(self, cotangents: Tensor) -> Tensor:
        """Do what `pull` does for x alone."""
        return self._convolved(cotangents, self._slope()) * self.styles[:, :, None, None]

    def _convolved(self, cotangents: Tensor, slope: Tensor) -> Tensor:
        shared = slope * self._after[:, :, None, None]
        return _adjoint(self.layer, cotangents * shared, self.padding)

    def _slope(self) -> Tensor:
        slope = 1 - (1 - LRELU_SLOPE) * (self.out < 0).to(self.out)
        clamp = self.layer.clamp
        return slope if clamp is None else slope.masked_fill(self.out.abs() >= clamp, 0.0)

    @cached_property
    def _after(self) -> Tensor:
        energy = self.layer.forms.energy(self.layer.weight)
        return demodulation(self.styles, energy) * LRELU_GAIN


def _adjoint(layer: SynthesisLayer, x: Tensor, padding: Padding | None) -> Tensor:
    """Apply the adjoint of a layer's convolution and FIR filter to x [N, out, H, W]."""
    weight, forms = layer.weight, layer.forms
    packs = forms.packs(weight, x)
    left, right, top, bottom = padding or (1, 1, 1, 1)
    if layer.up:
        x = fir_filter(x, (3 - left, 3 - right, 3 - top, 3 - bottom), gain=4.0)
        if packs:
            return forms.packed_adjoint(weight)(x)
        return F.conv2d(x, weight.transpose(0, 1), stride=2)
    if packs:
        x, inside = padded(x, (2 - left, 2 - right, 2 - top, 2 - bottom))
        return forms.packed_adjoint(weight)(x, inside)
    return F.pad(F.conv_transpose2d(x, weight), (-left, -right, -top, -bottom))
