"""Encoders that lie in a file beside the generator that they were trained with: pSp's and e4e's.

pSp: Richardson et al., 2021 (arXiv 2008.00951), figure 2: from a feature pyramid of three levels a
head for each layer's w. e4e: Tov et al., 2021 (arXiv 2102.02766), section 5: the first head gives
one w, each other one what its layer adds to it. Below the pyramid is a residual network for faces
(Deng et al., 2019, arXiv 1801.07698, section 3.1) with squeeze and excitation (Hu et al., 2018,
arXiv 1709.01507). Widths, depths and the number of heads are read from the tensors. Real ones have
267 million weights, so each is read from the file when it is needed, and not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.encoder_networks import seen_at
from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layouts import Stored, loaded
from stylegan2.formats.stored import Record, UnsafeCheckpoint
from stylegan2.formats.torch_files import load_objects, map_file

SIZE = 256
"""Pictures are looked at in this size."""

STAGES = 4
"""Groups of units of one width; each begins by halving its maps, down to 16 pixels."""

ADDS = {"GradualStyleEncoder": False, "Encoder4Editing": True}
"""By the name of the kind in a file: whether heads after the first add to it. The tensors of both
have the same names."""

SLOPE = 0.01
"""Of the heads' leaky ReLUs."""


@dataclass(frozen=True)
class StyleEncoder:
    """A file's encoder: its tensors by their names after "encoder.", still in the file.

    mean [num_ws, w_dim] is added to what the heads give; adds as in ADDS.
    """

    tensors: Mapping[str, Stored]
    mean: Tensor | None
    adds: bool

    @torch.no_grad()
    def ws(self, image: Tensor, num_ws: int) -> Tensor:
        """Return ws [1, num_ws, w_dim] of an aligned face [1, 3, H, W] in [-1, 1].

        Raises WeightsInvalid where the tensors do not fit together, or not that number.
        """
        heads = sum(name.endswith(".linear.weight") for name in self.tensors)
        if heads != num_ws:
            raise WeightsInvalid(f"it has {heads} heads, the generator takes {num_ws} latents")
        maps = self._pyramid(seen_at(image, SIZE))
        found = [self._head(f"styles.{number}", maps) for number in range(num_ws)]
        ws = torch.stack(found, dim=1)
        if self.adds:
            ws[:, 1:] += ws[:, :1].clone()
        if self.mean is not None:
            if self.mean.shape != ws.shape[1:]:
                raise WeightsInvalid(f"its mean latent has the shape {tuple(self.mean.shape)}")
            ws = ws + self.mean.to(ws)
        if not ws.isfinite().all():
            raise WeightsInvalid("it gives numbers that are not finite")
        return ws

    def _pyramid(self, x: Tensor) -> dict[int, Tensor]:
        """Return the maps of the pyramid by their sides."""
        x = self._activated(self._normed(self._convolved(x, "input_layer.0"), "input_layer.1"),
                            "input_layer.2")  # fmt: skip
        stages: list[Tensor] = []
        number = 0
        while f"body.{number}.res_layer.1.weight" in self.tensors:
            begins = number == 0 or f"body.{number}.shortcut_layer.0.weight" in self.tensors
            if begins and number > 0:
                stages.append(x)
            x = self._unit(x, f"body.{number}", stride=2 if begins else 1)
            number += 1
        stages.append(x)
        if len(stages) != STAGES:
            raise WeightsInvalid(f"it has {len(stages)} groups of units instead of {STAGES}")
        _, fine, middle, coarse = stages
        maps = [coarse]
        for below, lateral in ((middle, "latlayer1"), (fine, "latlayer2")):
            size = below.shape[2:]
            above = F.interpolate(maps[-1], size=size, mode="bilinear", align_corners=True)
            maps.append(above + self._convolved(below, lateral, out=above.shape[1]))
        return {each.shape[-1]: each for each in maps}

    def _unit(self, x: Tensor, name: str, stride: int) -> Tensor:
        """Run a residual unit: norm, convolution, PReLU, convolution, norm, and a gate."""
        y = self._convolved(self._normed(x, f"{name}.res_layer.0"), f"{name}.res_layer.1")
        y = self._activated(y, f"{name}.res_layer.2")
        y = self._convolved(y, f"{name}.res_layer.3", stride=stride)
        y = self._normed(y, f"{name}.res_layer.4")
        squeezed = self._convolved(y.mean(dim=(2, 3), keepdim=True), f"{name}.res_layer.5.fc1")
        opened = self._convolved(squeezed.relu(), f"{name}.res_layer.5.fc2", out=y.shape[1])
        y = y * opened.sigmoid()
        if f"{name}.shortcut_layer.0.weight" in self.tensors:
            x = self._convolved(x, f"{name}.shortcut_layer.0", stride=stride, out=y.shape[1])
            return y + self._normed(x, f"{name}.shortcut_layer.1")
        if x.shape[1] != y.shape[1]:
            raise WeightsInvalid(f"{name} changes the width and has no way around")
        return y + x[:, :, ::stride, ::stride]

    def _head(self, name: str, maps: Mapping[int, Tensor]) -> Tensor:
        """Halve a map until one pixel is left; how often tells which map it is."""
        convolutions = sorted(
            int(each.split(".")[3])
            for each in self.tensors
            if each.startswith(f"{name}.convs.") and each.endswith(".weight")
        )
        x = maps.get(1 << len(convolutions))
        if x is None:
            raise WeightsInvalid(f"{name} has {len(convolutions)} convolutions")
        for number in convolutions:
            x = F.leaky_relu(self._convolved(x, f"{name}.convs.{number}", stride=2), SLOPE)
        weight = self._get(f"{name}.linear.weight", None, x.shape[1])
        bias = self._get(f"{name}.linear.bias", weight.shape[0])
        # An equalised learning rate, as in the mapping network but with the multiplier 1.
        return F.linear(x.flatten(1), weight / weight.shape[1] ** 0.5, bias)

    def _convolved(self, x: Tensor, name: str, stride: int = 1, out: int | None = None) -> Tensor:
        weight = self._get(f"{name}.weight", out, x.shape[1], None, None)
        has_bias = f"{name}.bias" in self.tensors
        bias = self._get(f"{name}.bias", weight.shape[0]) if has_bias else None
        if weight.shape[2:] not in ((1, 1), (3, 3)):
            raise WeightsInvalid(f"{name} has the kernel {tuple(weight.shape[2:])}")
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[2] // 2)

    def _normed(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self._get(f"{name}.{each}", x.shape[1])
            for each in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias)

    def _activated(self, x: Tensor, name: str) -> Tensor:
        return F.prelu(x, self._get(f"{name}.weight", x.shape[1]))

    def _get(self, name: str, *shape: int | None) -> Tensor:
        """Read a tensor; None stands for any length. Raises WeightsInvalid."""
        stored = self.tensors.get(name)
        if stored is None:
            raise WeightsInvalid(f"its tensor {name} is missing")
        own = tuple(stored.shape)
        fits = len(own) == len(shape) and all(
            known in (None, side) for known, side in zip(shape, own, strict=True)
        )
        if not fits or 0 in own:
            raise WeightsInvalid(f"its tensor {name} has the shape {own}")
        return loaded(stored).float()


def read_style_encoder(path: Path) -> StyleEncoder | None:
    """Find the encoder in a network's file; None where there is none of a kind that we know."""
    try:
        found = load_objects(map_file(path))
    except (UnsafeCheckpoint, WeightsInvalid):
        return None  # a file of another kind; the network in it has been read already
    for parts, around in _state_dicts(found):
        for lead in ("encoder.", "module.encoder."):
            tensors = {
                name.removeprefix(lead): tensor
                for name, tensor in parts.items()
                if isinstance(name, str) and name.startswith(lead) and isinstance(tensor, Stored)
            }
            options = around.get("opts")
            options = options.state if isinstance(options, Record) else options
            kind = options.get("encoder_type") if isinstance(options, Mapping) else None
            if "input_layer.0.weight" in tensors and isinstance(kind, str) and kind in ADDS:
                assert isinstance(options, Mapping)
                centred = options.get("start_from_latent_avg") is not False
                mean = around.get("latent_avg") if centred else None
                heads = sum(name.endswith(".linear.weight") for name in tensors)
                return StyleEncoder(tensors, _each_layer(mean, heads), ADDS[kind])
    return None


def _state_dicts(found: object) -> Iterator[tuple[Mapping[object, object], Mapping[str, object]]]:
    """Yield where the encoder's tensors may lie, and what lies beside that."""
    if isinstance(found, Mapping):
        inner = found.get("state_dict")
        if isinstance(inner, Mapping):
            yield inner, found
        yield found, found


def _each_layer(mean: object, count: int) -> Tensor | None:
    """Return a mean latent for every layer; files hold it once or for each."""
    if not isinstance(mean, Stored):
        return None
    own = loaded(mean).float()
    return own if own.ndim == 2 else own.reshape(1, -1).expand(count, -1)
