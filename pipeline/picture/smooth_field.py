"""The smoothest field that agrees with what is known of it here and there."""

from __future__ import annotations

from typing import Any

import numpy as np

from stylegan2.arrays import BoolImage, Float64Array

BENDING = 20.0
"""Price of the squared Laplacian, for lengths in pixels of a grid of `UNIT` across."""

STRETCHING = 0.5
"""Price of the squared slope."""

PINNING = 2000.0
"""Price of the squared miss of a pin: in effect it holds."""

UNIT = 128
"""The prices and `AGREEMENT` are for a grid of this side; other grids are priced alike."""

AGREEMENT = 1.0
"""A measured value this far from the smooth field counts half, farther ones ever less."""

ROUNDS = 4
"""Solutions after the first, each with the weights that the one before suggests."""


def smooth_field(
    measured: Float64Array,
    weight: Float64Array,
    pins: Float64Array,
    ways: Float64Array,
    free: BoolImage,
    firmness: Float64Array | None = None,
) -> Float64Array:
    """Fit a field to measurements that are wrong in places, and to pins that are not.

    measured: [n, n, 2], lengths in grid pixels; weight: [n, n], how far each is to be believed, 0
    to 1. pins: [P, 2], xy on the grid, where the field is ways [P, 2]. free: [n, n]; elsewhere the
    field is 0. firmness: [P], what the miss of each pin costs, as a share of `PINNING`; all of it
    when None. Gives [n, n, 2].

    A thin plate under tension: weighted squares of the misses plus the squares of Laplacian and
    slope are least. The weights are those of a Cauchy error by reweighted least squares (Holland
    and Welsch, 1977), so that what contradicts its surroundings counts for little. Each solution
    is exact, by a Cholesky factor of the band matrix.
    """
    from scipy.linalg import cho_solve_banded, cholesky_banded  # large; only an edit needs it

    n = len(measured)
    scale = n / UNIT
    prices = PINNING * scale**2 * (np.ones(len(pins)) if firmness is None else firmness)
    stiff = _stiffness(n, scale, pins, prices, free)
    inside = free.ravel()
    pull = _reading(pins, n).T @ (prices[:, None] * ways)
    goal = measured.reshape(-1, 2)
    field = np.zeros_like(goal)
    agreeing = np.ones(n * n)
    for _ in range(ROUNDS + 1):
        believed = weight.ravel() * agreeing * inside
        system = stiff.copy()
        system[0] += believed
        factor = cholesky_banded(system, overwrite_ab=True, lower=True, check_finite=False)
        right = (pull + believed[:, None] * goal) * inside[:, None]
        field = cho_solve_banded((factor, True), right, overwrite_b=True, check_finite=False)
        agreeing = 1 / (1 + ((field - goal) ** 2).sum(axis=1) / (AGREEMENT * scale) ** 2)
    return np.asarray(field.reshape(n, n, 2))


def _stiffness(
    n: int, scale: float, pins: Float64Array, prices: Float64Array, free: BoolImage
) -> Float64Array:
    """Return the lower bands [2 n + 2, n * n] of what does not change with the weights."""
    from scipy import sparse

    second = sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(n, n))
    one = sparse.identity(n)
    laplacian = sparse.kron(one, second) + sparse.kron(second, one)
    reading = sparse.csr_matrix(_reading(pins, n))
    matrix = BENDING * scale**4 * laplacian.T @ laplacian - STRETCHING * scale**2 * laplacian
    matrix = matrix + reading.T @ sparse.diags(prices) @ reading
    kept = sparse.diags(free.ravel().astype(np.float64))
    entries: Any = sparse.coo_matrix(kept @ matrix @ kept)
    below = entries.row - entries.col
    lower = below >= 0
    bands = np.zeros((2 * n + 2, n * n))
    bands[below[lower], entries.col[lower]] = entries.data[lower]
    bands[0] += ~free.ravel()
    return bands


def _reading(pins: Float64Array, n: int) -> Float64Array:
    """Return the weights [P, n * n] that read a field at pins, bilinearly."""
    rows = np.zeros((len(pins), n * n))
    for row, pin in zip(rows, pins, strict=True):
        x, y = np.clip(pin, 0, n - 1.001)
        left, top = int(x), int(y)
        right, down = x - left, y - top
        at = top * n + left
        row[[at, at + 1]] = (1 - down) * np.array([1 - right, right])
        row[[at + n, at + n + 1]] = down * np.array([1 - right, right])
    return rows
