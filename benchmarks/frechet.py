"""Frechet distance between two sets of pictures (Heusel et al., 2017) on perceptual features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.section import Mean
from inversion.perceptual import PerceptualDistance
from stylegan2.arrays import Float64Array


def frechet_distance(a: Float64Array, b: Float64Array) -> float:
    """Return the distance of the Gaussians fitted to a [N, D] and b [M, D].

    The trace of the root of the product of the two covariances is the sum of the singular
    values of an N x M matrix, so fewer samples than dimensions need no special care.
    """
    if len(a) < 2 or len(b) < 2:
        raise ValueError(f"two samples of each are needed, got {len(a)} and {len(b)}")
    x = (a - a.mean(axis=0)) / math.sqrt(len(a) - 1)
    y = (b - b.mean(axis=0)) / math.sqrt(len(b) - 1)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    apart = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    return float(apart + np.square(x).sum() + np.square(y).sum() - 2 * shared)


def frechet_mean(a: Float64Array, reference: Float64Array) -> Mean:
    """Return the distance with its standard error by the jackknife over a; n is len(a)."""
    n = len(a)
    if n < 3:
        return Mean(math.nan, math.nan, 0)
    without = [frechet_distance(np.delete(a, i, axis=0), reference) for i in range(n)]
    error = math.sqrt((n - 1) / n * np.square(np.array(without) - np.mean(without)).sum())
    return Mean(frechet_distance(a, reference), error, n)


@torch.no_grad()
def pooled_features(pictures: Sequence[Tensor], perceptual: PerceptualDistance) -> Float64Array:
    """Return mean and standard deviation of each feature channel of each picture: [N, D]."""
    rows = []
    for picture in pictures:
        pooled = []
        for features in perceptual.features(picture):
            flat = features[0].flatten(1).double()
            pooled += [flat.mean(dim=1), flat.std(dim=1)]
        rows.append(torch.cat(pooled).cpu().numpy())
    return np.stack(rows)
