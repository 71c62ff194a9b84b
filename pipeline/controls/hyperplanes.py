"""Directions of W that change one measure of a face and hold the others.

Hyperplanes whose normals tell a measure from w are InterfaceGAN's (Shen et al., 2020, arXiv
1907.10786), here by ridge regression, and conditioned on the others: of all moves that change one
measure alone, the one that is likeliest, that is the shortest in standard deviations of w.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stylegan2.arrays import Float64Array

RIDGE = 30.0
"""Of the normals, in samples: directions of w that fewer have shown are not believed."""

DAMPING = 0.3
"""Added to the normals' products, as a share of their mean: measures that hang together are not
held apart at any price. A smile of the embedded generator is 10 standard deviations long with
this, 16 with a tenth of it, and skin changes by 6 of 255 instead of 2."""


@dataclass(frozen=True)
class Hyperplanes:
    """What w says of some measures.

    normals [K, D] are slopes of the measures, each in its standard deviations, over w in standard
    deviations of its components; axes [D, D] bring w there; told [K] is the share of each
    measure's variance that w tells, in samples that were held out.
    """

    normals: Float64Array
    axes: Float64Array
    spreads: Float64Array
    told: Float64Array

    def way(self, measure: int, change: float, *, alone: bool = True) -> Float64Array:
        """Return the move in w [D] that changes a measure, by its number, by so much.

        alone says whether the others are held.
        """
        goal = change / self.spreads[measure]
        if alone:
            products = self.normals @ self.normals.T
            products += DAMPING * np.trace(products) / len(products) * np.eye(len(products))
            white = self.normals.T @ np.linalg.solve(products, np.eye(len(products))[measure])
        else:
            white = self.normals[measure] / (self.normals[measure] @ self.normals[measure])
        # What damping took off the asked measure's own change is given back.
        white *= goal / (self.normals[measure] @ white)
        way: Float64Array = self.axes @ white
        return way

    def length(self, way: Float64Array) -> float:
        """Return how long a move [D] is, in standard deviations of w."""
        return float(np.linalg.norm(np.linalg.solve(self.axes, way)))


def fit_hyperplanes(w: Float64Array, measured: Float64Array) -> Hyperplanes:
    """Fit measures [N, K] of N samples to their w [N, D]. Every fifth sample is held out."""
    held_out = np.arange(len(w)) % 5 == 0
    first = _fit(w[~held_out], measured[~held_out])
    left = _predicted(first, w[~held_out], measured[~held_out], w[held_out]) - measured[held_out]
    told = 1 - left.var(axis=0) / np.maximum(measured[held_out].var(axis=0), 1e-12)
    whole = _fit(w, measured)
    return Hyperplanes(whole.normals, whole.axes, whole.spreads, told)


def _fit(w: Float64Array, measured: Float64Array) -> Hyperplanes:
    centred = w - w.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(w))
    axes = vectors * np.sqrt(np.maximum(values, 1e-9 * values.max()))
    white = np.linalg.solve(axes, centred.T).T
    spreads = np.maximum(measured.std(axis=0), 1e-9)
    wanted = (measured - measured.mean(axis=0)) / spreads
    squares = white.T @ white + RIDGE * np.eye(len(axes))
    normals = np.linalg.solve(squares, white.T @ wanted).T
    return Hyperplanes(normals, axes, spreads, np.zeros(len(spreads)))


def _predicted(
    fitted: Hyperplanes, w: Float64Array, measured: Float64Array, others: Float64Array
) -> Float64Array:
    white = np.linalg.solve(fitted.axes, (others - w.mean(axis=0)).T).T
    told: Float64Array = measured.mean(axis=0) + white @ fitted.normals.T * fitted.spreads
    return told
