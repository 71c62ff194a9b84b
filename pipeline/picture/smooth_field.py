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

ROWS = 32
"""Rows of the triangle that are solved at a time: few enough for one thread."""

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
    from scipy.linalg import cholesky_banded  # large; only an edit needs it

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
        field = _solved(factor, right)
        agreeing = 1 / (1 + ((field - goal) ** 2).sum(axis=1) / (AGREEMENT * scale) ** 2)
    return np.asarray(field.reshape(n, n, 2))


def _solved(factor: Float64Array, right: Float64Array) -> Float64Array:
    """Solve L L^T x = right [N, C] for the lower bands [K, N] of L, a few rows at a time.

    LAPACK goes row by row, and wakes all threads of BLAS for each: many times as long as this.
    """
    bands, size = factor.shape
    blocks = -(-size // ROWS)
    reach = -(-(bands - 1) // ROWS) * ROWS
    # Rows of a block from the first column that they reach: L[r, c] is factor[r - c, c].
    padded = np.zeros((ROWS + reach + ROWS, blocks * ROWS + reach))
    padded[ROWS : ROWS + bands, reach : reach + size] = factor
    padded[ROWS, reach + size :] = 1
    down, right_on = padded.strides
    rows = np.lib.stride_tricks.as_strided(
        padded[ROWS + reach :],
        (blocks, ROWS, reach + ROWS),
        (ROWS * right_on, down, right_on - down),
        writeable=False,
    )
    before, inverse = rows[:, :, :reach], np.linalg.inv(rows[:, :, reach:])
    found = np.zeros((reach + blocks * ROWS, right.shape[1]))
    found[reach : reach + size] = right
    for i in range(blocks):
        top = reach + i * ROWS
        own = slice(top, top + ROWS)
        found[own] = inverse[i] @ (found[own] - before[i] @ found[top - reach : top])
    for i in reversed(range(blocks)):
        top = reach + i * ROWS
        own = slice(top, top + ROWS)
        found[own] = inverse[i].T @ found[own]
        found[top - reach : top] -= before[i].T @ found[own]
    return found[reach : reach + size]


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
