"""The styles of a generator, S: all that its affine layers make of w, and shifts of them.

S is of "StyleSpace Analysis" (Wu et al., 2021, arXiv 2011.12799). Those of the layers that make
colours are left alone, as StyleCLIP does; the others are counted layer by layer, from 4x4 upwards.
A style is what an affine layer gives, so that a shift of it is a shift of that layer's bias.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from stylegan2.generator import Generator
from stylegan2.ops import FullyConnected


def style_sizes(generator: Generator) -> list[int]:
    """Return how many styles each layer takes, from 4x4 upwards."""
    return [len(affine.bias) for affine in _affines(generator)]


@torch.no_grad()
def style_spreads(generator: Generator, w: Tensor) -> Tensor:
    """Return the standard deviation [styles] of every style over w [N, w_dim], on the CPU."""
    found = []
    for affine in _affines(generator):
        matrix = affine.weight.double().cpu() * affine.weight_gain
        found.append((w.double().cpu() @ matrix.T).std(dim=0))
    return torch.cat(found).float()


@contextmanager
def style_shifted(generator: Generator, layer: int, channel: int, amount: float) -> Iterator[None]:
    """Let one style of a layer, by its number, be so much more for a while, whatever w says."""
    affine = _affines(generator)[layer]
    with torch.no_grad():
        kept = affine.bias[channel].clone()
        affine.bias[channel] += amount / affine.bias_gain
    try:
        yield
    finally:
        with torch.no_grad():
            affine.bias[channel] = kept


@torch.no_grad()
def restyled(generator: Generator, shift: Tensor) -> Generator:
    """Return a copy of a generator whose styles are more by shift [styles], whatever w says.

    Raises ValueError for a shift of another length.
    """
    sizes = style_sizes(generator)
    if tuple(shift.shape) != (sum(sizes),):
        raise ValueError(f"shift must be [{sum(sizes)}], got {list(shift.shape)}")
    moved = copy.deepcopy(generator)
    for affine, own in zip(_affines(moved), shift.split(sizes), strict=True):
        affine.bias.add_(own.to(affine.bias) / affine.bias_gain)
    return moved


def _affines(generator: Generator) -> list[FullyConnected]:
    return [layer.affine for _, layer in generator.synthesis.layers()]
