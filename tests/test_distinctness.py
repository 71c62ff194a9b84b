"""A handle is distinct where its features change whichever way one goes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from drag import distinctness as module
from drag.config import DragConfig
from drag.distinctness import (
    AMPLE,
    APART,
    LEAST,
    NEAR,
    better_handle,
    check_handles,
    distinctness,
    handle_features,
)
from drag.points import DragPoint
from drag.session import DragSession
from tests.factories import tiny_generator

RESOLUTION = 128
SIZE = 64


def corner(size: int = SIZE, channels: int = 4) -> Tensor:
    """Features [1, C, size, size] that are flat but for two lower quarters, in turn."""
    step = torch.sigmoid(torch.arange(size) * (64 / size) - 31.5)
    right, left = step[:, None] * step, step[:, None] * step.flip(0)
    weights = torch.linspace(0.5, 2.0, channels)
    return torch.stack([w * (left, right)[i % 2] for i, w in enumerate(weights)])[None]


AT_CORNER, AT_EDGE, ON_FLAT = (64.0, 64.0), (64.0, 112.0), (20.0, 20.0)
BESIDE = (50.0, 60.0)


def test_a_corner_is_distinct_and_neither_a_flat_place_nor_an_edge_is() -> None:
    at_corner, at_edge, on_flat = distinctness(corner(), [AT_CORNER, AT_EDGE, ON_FLAT], RESOLUTION)
    assert at_corner > AMPLE * LEAST
    assert at_edge < LEAST / 2
    assert on_flat < LEAST / 10


def test_features_that_are_the_same_everywhere_are_not_distinct_anywhere() -> None:
    assert distinctness(torch.ones(1, 3, 16, 16), [(8.0, 8.0)], 32) == [0.0]
    assert distinctness(torch.zeros(1, 3, 16, 16), [(8.0, 8.0)], 32) == [0.0]


def test_distinctness_has_neither_the_features_unit_nor_their_offset() -> None:
    field, places = corner(), [AT_CORNER, (60.0, 70.0)]
    expected = distinctness(field, places, RESOLUTION)
    assert distinctness(7 * field + 3, places, RESOLUTION) == pytest.approx(expected, rel=1e-3)


def test_a_larger_network_with_the_same_features_finds_the_same() -> None:
    """A 1024 network is dragged on its 128 block; the patch is as large a part of the picture."""
    (small,) = distinctness(corner(64), [(64.0, 64.0)], 128)
    (large,) = distinctness(corner(128), [(512.0, 512.0)], 1024)
    assert large == pytest.approx(small, rel=0.15)


def test_distinctness_is_the_root_of_the_smaller_eigenvalue() -> None:
    """A ramp in each of two channels, of different steepness: the flattest way is known."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    field = torch.stack([0.5 * x, 0.1 * y]).float()[None]
    handle = (64.0, 64.0)
    variance = float(field.var(dim=(2, 3)).mean())
    # The patch, of two feature pixels' radius, lies in the middle of the picture.
    away = variance + (0.5**2 + 0.1**2) / 2
    (value,) = distinctness(field, [handle], RESOLUTION)
    assert value == pytest.approx(2 * math.sqrt(0.1**2 / 2 / away), rel=0.02)


def test_the_better_point_is_the_nearest_that_is_clearly_distinct() -> None:
    field, handle = corner(), BESIDE
    assert distinctness(field, [handle], RESOLUTION)[0] < LEAST
    better = better_handle(field, handle, RESOLUTION)
    assert better is not None
    assert distinctness(field, [better], RESOLUTION)[0] >= AMPLE * LEAST
    far = math.dist(handle, better)
    nearer = [
        (handle[0] + dx, handle[1] + dy)
        for dx in range(-12, 13, 2)
        for dy in range(-12, 13, 2)
        if 0 < math.hypot(dx, dy) < far - 1e-6
    ]
    assert max(distinctness(field, nearer, RESOLUTION)) < AMPLE * LEAST
    assert far <= NEAR * RESOLUTION / 512


def test_far_from_any_texture_there_is_no_better_point() -> None:
    assert better_handle(corner(), ON_FLAT, RESOLUTION) is None


def test_a_better_point_lies_in_the_picture() -> None:
    field = torch.roll(corner(), (-30, -30), dims=(2, 3))
    better = better_handle(field, (0.0, 0.0), RESOLUTION)
    assert better is None or min(better) >= 0


def test_only_handles_that_may_drift_come_with_a_better_point_and_no_two_with_the_same() -> None:
    handles = [AT_CORNER, ON_FLAT, BESIDE, (51.0, 61.0)]
    held = check_handles(corner(), handles, RESOLUTION)
    assert [each.may_drift for each in held] == [False, True, True, True]
    assert held[0].better is None and held[1].better is None
    offered = [each.better for each in held if each.better is not None]
    assert len(offered) == 2
    others = [AT_CORNER, ON_FLAT]
    for i, point in enumerate(offered):
        for other in others + offered[:i]:
            assert math.dist(point, other) >= APART * RESOLUTION / 512


def test_a_better_point_keeps_away_from_other_handles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = corner()
    (best,) = distinctness(field, [AT_CORNER], RESOLUTION)
    monkeypatch.setattr(module, "AMPLE", 0.98 * best / LEAST)
    better = better_handle(field, (58.0, 64.0), RESOLUTION)
    assert better is not None
    assert math.dist(better, AT_CORNER) < 4
    assert better_handle(field, (58.0, 64.0), RESOLUTION, [better]) != better


def test_the_features_are_those_that_a_drag_tracks() -> None:
    generator = tiny_generator(32)
    ws = torch.randn(1, generator.num_ws, generator.w_dim)
    features = handle_features(generator, None, ws)
    session = DragSession(
        generator, ws, None, [DragPoint((8.0, 9.0), (12.0, 9.0))], DragConfig(steps=1)
    )
    assert torch.equal(features, session.first_features)
    (value,) = distinctness(features, [(8.0, 9.0)], generator.resolution)
    assert value > 0
