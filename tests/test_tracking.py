"""Point tracking finds the template to a small part of a feature pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from drag.sampling import GRID_STEP, sample, spread, square_offsets
from drag.tracking import track, unlikeness
from tests.literal_draggan import literal_track

SIZE = 24
STEP = 1 / 32


class SmoothField:
    """A random band-limited field [1, C, SIZE, SIZE] that can be shifted by any part of a pixel.

    A sum of waves, the shortest 6 pixels long: about as smooth as features of a 64 block.
    """

    def __init__(self, channels: int = 32, seed: int = 0, waves: int = 24) -> None:
        rng = torch.Generator().manual_seed(seed)
        length = 6 + 18 * torch.rand(channels, waves, 1, 1, generator=rng)
        angle = 2 * math.pi * torch.rand(channels, waves, 1, 1, generator=rng)
        self.fx = 2 * math.pi * angle.cos() / length
        self.fy = 2 * math.pi * angle.sin() / length
        self.phase = 2 * math.pi * torch.rand(channels, waves, 1, 1, generator=rng)

    def shifted(self, dx: float, dy: float) -> Tensor:
        y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        return torch.sin(self.fx * (x - dx) + self.fy * (y - dy) + self.phase).sum(dim=1)[None]


def _error(field: SmoothField, start: Tensor, shift: tuple[float, float]) -> float:
    template = sample(field.shifted(0, 0), start)
    found = track(field.shifted(*shift), template, start, square_offsets(3.0, GRID_STEP))
    return float((found.handles - start - torch.tensor(shift)).norm(dim=1).max())


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_field_is_found_well_below_a_tenth_of_a_feature_pixel(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    errors = []
    for _ in range(12):
        start = 6 + 12 * torch.rand(2, 2, generator=rng)
        shift = (5 * torch.rand(2, generator=rng) - 2.5).tolist()
        errors.append(_error(SmoothField(seed=seed), start, (shift[0], shift[1])))
    assert max(errors) < 0.08
    assert sum(errors) / len(errors) < 0.04


def test_the_offsets_of_one_pixel_of_512_are_told_apart_on_a_128_network() -> None:
    """One such pixel is an eighth of a feature pixel there, and the arrival tolerance."""
    start = torch.tensor([[11.3, 9.8]])
    field = SmoothField(seed=4)
    template = sample(field.shifted(0, 0), start)
    found = [
        float(
            track(field.shifted(dx, 0), template, start, square_offsets(1.5, GRID_STEP)).handles[
                0, 0
            ]
        )
        for dx in (0.0, 0.125, 0.25, 0.375, 0.5)
    ]
    steps = [b - a for a, b in zip(found, found[1:], strict=False)]
    assert all(step == pytest.approx(0.125, abs=0.0626) for step in steps)


def test_an_unmoved_picture_leaves_the_handles_where_they_are() -> None:
    field = SmoothField(seed=1).shifted(0, 0)
    start = torch.tensor([[3.7, 5.2], [0.0, 23.0], [-0.5, 12.25]])
    found = track(field, sample(field, start), start, square_offsets(2.0, GRID_STEP))
    assert torch.equal(found.handles, start)
    assert float(found.mismatch.max()) == pytest.approx(0, abs=1e-6)


def test_without_any_texture_the_handle_stays() -> None:
    flat = torch.ones(1, 4, 16, 16)
    start = torch.tensor([[8.3, 0.0]])
    found = track(flat, torch.ones(1, 4), start, square_offsets(3.0, GRID_STEP))
    assert torch.equal(found.handles, start)


def test_handles_never_leave_the_picture() -> None:
    field = SmoothField(seed=2)
    start = torch.tensor([[22.0, 1.0]])
    template = sample(field.shifted(0, 0), start)
    handles = start
    for step in range(1, 5):
        moved = field.shifted(1.5 * step, -1.5 * step)
        handles = track(moved, template, handles, square_offsets(2.0, GRID_STEP)).handles
        assert handles.min() >= -0.5 and handles.max() <= SIZE - 0.5


def test_only_positions_within_r2_are_looked_at() -> None:
    field = SmoothField(seed=3)
    start = torch.tensor([[12.0, 12.0]])
    template = sample(field.shifted(0, 0), start)
    near = track(field.shifted(4, 0), template, start, square_offsets(1.0, GRID_STEP))
    far = track(field.shifted(4, 0), template, start, square_offsets(4.0, GRID_STEP))
    assert float((near.handles - start).abs().max()) < 1.5
    assert far.handles[0].tolist() == pytest.approx([16.0, 12.0], abs=STEP)
    assert near.mismatch > 5 * far.mismatch


def test_distance_is_l1_and_not_l2() -> None:
    """One place differs a little everywhere (L2 likes it), the other much in one channel."""
    features = torch.full((1, 9, 4, 4), 100.0)
    features[0, :, 1, 1] = 0.5
    features[0, :, 1, 2] = 0.0
    features[0, 0, 1, 2] = 3.0
    whole_pixels = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    found = track(features, torch.zeros(1, 9), torch.tensor([[1.0, 1.0]]), whole_pixels)
    assert found.handles[0, 0] > 1.5


def test_tracking_equals_the_literal_search() -> None:
    rng = torch.Generator().manual_seed(7)
    before, after = (torch.randn(1, 6, 10, 10, generator=rng) for _ in range(2))
    starts = [(4.2, 5.1), (0.3, 9.2), (-0.5, -0.5), (8.9, 0.0)]
    handles = torch.tensor(starts)
    template = sample(before, handles)
    found = track(after, template, handles, square_offsets(1.5, GRID_STEP))
    for start, own, xy in zip(starts, template, found.handles.tolist(), strict=True):
        assert literal_track(after, own, start, 1.5) == pytest.approx(tuple(xy), abs=1e-5)


def test_unlikeness_is_the_typical_pixels_difference_from_the_template() -> None:
    features = SmoothField(seed=5).shifted(0, 0)
    template = sample(features, torch.tensor([[3.0, 4.0], [10.5, 11.0]]))
    values = unlikeness(features, template[:, None], torch.zeros(1, 2), torch.ones(2, 1))
    for own, value in zip(template, values, strict=True):
        differences = [
            float((features[0, :, y, x] - own).abs().mean())
            for y in range(0, SIZE, 2)
            for x in range(0, SIZE, 2)
        ]
        below = sum(d <= float(value) for d in differences)
        assert below == pytest.approx(len(differences) / 2, abs=1)


def test_a_patch_is_found_where_single_pixels_are_alike() -> None:
    """A column of stripes has its pixels everywhere; only their order tells places apart."""
    rows = torch.tensor([0.0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0])
    features = rows[:, None].expand(16, 16)[None, None].contiguous()
    patch = torch.tensor([[0.0, -2.0], [0, -1], [0, 0], [0, 1], [0, 2]])
    template = sample(features, torch.tensor([[8.0, 9.0]]) + patch)[None]
    start = torch.tensor([[8.0, 7.0]])
    whole = square_offsets(3.0, 1.0)
    found = track(features, template, start, whole, patch=patch)
    assert found.handles[0].tolist() == [8.0, 9.0]
    assert float(found.mismatch) == 0


def test_weights_leave_parts_of_a_patch_out() -> None:
    features = SmoothField(seed=3).shifted(0, 0)
    patch = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    template = sample(features, torch.tensor([[[10.0, 10.0], [13.0, 10.0]]]))
    template[:, 1] += 100.0
    weights = torch.tensor([[1.0, 0.0]])
    start = torch.tensor([[11.0, 9.0]])
    found = track(
        features, template, start, square_offsets(2.0, GRID_STEP), patch=patch, weights=weights
    )
    assert found.handles[0].tolist() == pytest.approx([10.0, 10.0], abs=STEP)


def test_where_all_looks_alike_a_handle_is_where_it_is_expected() -> None:
    flat = torch.ones(1, 4, SIZE, SIZE) + 1e-4 * SmoothField(4, seed=8).shifted(0, 0)
    start = torch.tensor([[11.0, 9.0]])
    search = square_offsets(2.0, GRID_STEP)
    found = track(flat, torch.ones(1, 4), start, search, distrust=torch.tensor([0.1]))
    assert found.handles.tolist() == start.tolist()
    free = track(flat, torch.ones(1, 4), start, search)
    assert free.handles.tolist() != start.tolist()


def test_spreading_is_the_adjoint_of_sampling() -> None:
    rng = torch.Generator().manual_seed(4)
    features = torch.randn(1, 3, 5, 7, generator=rng, dtype=torch.float64)
    xy = torch.rand(2, 9, 2, generator=rng, dtype=torch.float64) * 8 - 1
    xy[0, 0], xy[1, 1] = torch.tensor([6.0, 4.0]), torch.tensor([2.0, 3.0])
    values = torch.randn(2, 9, 3, generator=rng, dtype=torch.float64)
    maps = spread(values, xy, 5, 7)
    assert maps.shape == (2, 3, 5, 7)
    products = (values * sample(features, xy)).sum(dim=(1, 2))
    torch.testing.assert_close((maps * features).sum(dim=(1, 2, 3)), products)
