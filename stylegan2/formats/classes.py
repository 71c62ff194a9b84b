"""Class-conditional generators, for one class: then they are generators like all others.

A class's embedding goes into the mapping network beside z (Karras et al., 2020, arXiv 2006.06676,
appendix D; the layers are those of NVIDIA's checkpoints): embed is linear, what it gives for a
class is normalised as z is, and follows z in what the first layer reads. For one class that part of
what is read never changes, so it goes into the first layer's bias.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layouts import UnsupportedNetwork
from stylegan2.ops import normalize_2nd_moment

EMBED = "mapping.embed."
FIRST = "mapping.fc0."

NO_CLASSES = "the network has no classes: leave out --class, or what follows # in its name"


class ClassNeeded(UnsupportedNetwork):
    """A network has classes, and none of them, or one that it does not have, was asked for."""

    def __init__(self, message: str, count: int) -> None:
        super().__init__(message)
        self.count = count


def for_class(tensors: Mapping[str, Tensor], number: int | None) -> dict[str, Tensor]:
    """Return a generator's tensors for one class; those of one without classes as they are.

    Their w_avg stays the mean over all classes. Raises ClassNeeded, UnsupportedNetwork for a class
    of a generator that has none, and WeightsInvalid.
    """
    if f"{EMBED}weight" not in tensors:
        if number is not None:
            raise UnsupportedNetwork(NO_CLASSES)
        return dict(tensors)
    embed, bias = tensors[f"{EMBED}weight"].float(), tensors.get(f"{EMBED}bias")
    first, first_bias = tensors.get(f"{FIRST}weight"), tensors.get(f"{FIRST}bias")
    if bias is None or first is None or first_bias is None or embed.ndim != 2 or first.ndim != 2:
        raise WeightsInvalid("the mapping network of a class-conditional generator is incomplete")
    features, count = embed.shape
    z_dim, read = first.shape[1] - features, first.shape[1]
    if z_dim < 1 or not count or bias.shape != (features,) or first_bias.shape != first.shape[:1]:
        raise WeightsInvalid("the class embedding does not fit the mapping network")
    if number is None or not 0 <= number < count:
        what = "makes pictures of several classes" if number is None else f"has no class {number}"
        raise ClassNeeded(
            f"the network {what}: choose one from 0 to {count - 1} with --class, or after its "
            "name, as in network.pkl#0",
            count,
        )
    # The embedding has learned at the usual rate: its gain is 1 / sqrt(count), its bias's is 1.
    told = normalize_2nd_moment((embed[:, number] / math.sqrt(count) + bias.float())[None])[0]
    rest = {name: each for name, each in tensors.items() if not name.startswith(EMBED)}
    # The first layer's gain depends on how much it reads.
    scaled = first.float() / math.sqrt(read)
    rest[f"{FIRST}weight"] = scaled[:, :z_dim] * math.sqrt(z_dim)
    rest[f"{FIRST}bias"] = first_bias.float() + scaled[:, z_dim:] @ told
    return rest
