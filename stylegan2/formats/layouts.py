"""What the readers of all layouts share: the result, the loading, and what is refused.

All bring a generator to NVIDIA's names and shapes; see the readers for the facts of each layout.
TensorFlow and rosinality scale a 3x3 kernel by 1 / sqrt(fan in) before demodulating it, NVIDIA's
PyTorch code does not. Demodulation divides by the same scale, so the function is the same but for
its epsilon of 1e-8 (below 1e-7 of the output); the kernels are kept as stored, as NVIDIA's
converter does, so that one learning rate suits every source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.stored import StoredArray, StoredTensor
from stylegan2.generator import MAPPING_LR_MULTIPLIER
from stylegan2.ops import is_usual_filter

BLOCK_SIZES = tuple(4 << i for i in range(9))
"""Sides of the blocks that a generator can have."""

MAX_PARTS = 10_000
"""Modules, and tensors, in one network; a 1024-pixel generator has about 300."""

MEAN_MEASURED = "the file holds no mean latent; it was measured on 10 000 samples"

MAX_SETTING = 1e9
"""Larger settings than this are damage."""


Stored = StoredTensor | StoredArray | Tensor
"""A tensor in a file, or one that its reader has loaded already."""


class UnsupportedNetwork(Exception):
    """A file is sound, or at least known, but holds something other than a usable generator."""


@dataclass(frozen=True)
class ForeignWeights:
    """A generator's tensors under NVIDIA's names, without filters, and what went with them.

    w_avg_missing: the file holds no mean latent, `mapping.w_avg` is all zeros.
    """

    layout: str
    tensors: dict[str, Tensor]
    conv_clamp: float | None = None
    w_avg_missing: bool = False
    notices: tuple[str, ...] = ()


def loaded(stored: Stored) -> Tensor:
    """Read a tensor that may lie in its file still."""
    return stored if isinstance(stored, Tensor) else stored.load()


def load_all(stored: Mapping[str, object], limit: int) -> dict[str, Tensor]:
    """Load tensors out of the file. Raises WeightsInvalid when they exceed limit bytes together."""
    total = 0
    for name, value in stored.items():
        if not isinstance(value, Stored) or not isinstance(name, str):
            raise WeightsInvalid(f"{ascii(name)[:80]} should be a tensor")
        total += max(value.nbytes, 0)
    if total > limit:
        raise WeightsInvalid("the file declares larger tensors than it holds")
    return {name: loaded(value) for name, value in stored.items() if isinstance(value, Stored)}


def with_noise(tensors: dict[str, Tensor], make: Callable[..., Tensor]) -> dict[str, Tensor]:
    """Complete a generator that was built without noise: images from make, strength zero."""
    const = tensors.get("synthesis.b4.const", torch.zeros(0))
    if const.ndim != 3:
        return tensors  # whoever builds the generator says what is wrong with it
    height, width = const.shape[1:]
    complete = dict(tensors)
    for name in tensors:
        if found := re.fullmatch(r"(synthesis\.b([1-9]\d{0,3})\.conv[01]\.)weight", name):
            size = int(found[2])
            if size not in BLOCK_SIZES:
                continue
            if f"{found[1]}noise_const" not in tensors:
                complete[f"{found[1]}noise_const"] = make(height * size // 4, width * size // 4)
            if f"{found[1]}noise_strength" not in tensors:
                complete[f"{found[1]}noise_strength"] = torch.zeros([])
    return complete


def number(value: object) -> float | None:
    """Return a setting as a finite number, or None where it is not set."""
    if value is None:
        return None
    if isinstance(value, (bool, int, float)) and abs(value) < MAX_SETTING:
        return float(value)
    raise WeightsInvalid("a setting of the network should be a number")


def named(value: object) -> dict[str, Any]:
    """Return a dictionary with text keys; an empty one for anything else."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return {}
    return value


def check_architecture(architecture: object) -> None:
    """Raise UnsupportedNetwork unless every block adds to the picture (None: not stated)."""
    if architecture not in ("skip", None):
        raise UnsupportedNetwork(
            f"the generator's architecture is {_short(architecture)}; realdrag needs 'skip', in "
            "which every block adds to the picture"
        )


def check_activation(activation: object) -> None:
    """Raise UnsupportedNetwork unless it is the leaky ReLU (None: not stated)."""
    if activation not in ("lrelu", None):
        raise UnsupportedNetwork(f"the activation is {_short(activation)}; realdrag needs 'lrelu'")


def check_labels(count: object, names: Mapping[str, object]) -> None:
    """Raise UnsupportedNetwork for class labels (their count) without an embedding among names."""
    if number(count) not in (None, 0) and not any("mapping.embed." in name for name in names):
        raise UnsupportedNetwork(
            "the network is class-conditional (it takes labels), and not as StyleGAN2-ADA's are; "
            "realdrag does not know how"
        )


def check_filter(name: str, kernel: Tensor, gain: float) -> None:
    """Raise UnsupportedNetwork unless kernel [4, 4] is the [1,3,3,1] filter, summing to gain."""
    if not is_usual_filter(kernel, gain):
        raise UnsupportedNetwork(f"{name} is not the [1,3,3,1] filter, the only one realdrag has")


def scale_mapping(tensors: dict[str, Tensor], prefix: str, multiplier: float | None) -> None:
    """Bring a mapping layer that was trained with another learning rate multiplier to ours."""
    if multiplier is None or math.isclose(multiplier, MAPPING_LR_MULTIPLIER, rel_tol=1e-6):
        return
    for name in (f"{prefix}weight", f"{prefix}bias"):
        if name in tensors:
            tensors[name] = tensors[name].float() * (multiplier / MAPPING_LR_MULTIPLIER)


def _short(value: object) -> str:
    return ascii(value)[:40] if isinstance(value, str) else f"a {type(value).__name__}"


def noise_layer(index: int) -> str:
    """Name the layer that takes the index-th noise image: b4.conv1, b8.conv0, b8.conv1, ..."""
    return f"b{4 << min((index + 1) // 2, 20)}.conv{(index + 1) % 2}"
