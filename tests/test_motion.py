"""Motion supervision and the mask term, and the positions they are read at."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from drag.motion import directions, kept_share, mask_loss, motion_loss
from drag.sampling import (
    GRID_STEP,
    disk_offsets,
    feature_resolution,
    sample,
    square_offsets,
    to_feature_length,
    to_feature_xy,
    to_picture_xy,
)
from tests.literal_draggan import bilinear


def _features(channels: int = 5, size: int = 8, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, size, size, generator=rng)


@pytest.mark.parametrize(
    ("resolution", "block"), [(16, 8), (32, 16), (64, 32), (128, 64), (256, 128), (1024, 128)]
)
def test_the_feature_block_follows_the_resolution(resolution: int, block: int) -> None:
    assert feature_resolution(resolution) == block


def test_picture_and_features_cover_the_same_square() -> None:
    edges = torch.tensor([[-0.5, 127.5], [0.5, 2.5]])
    on_features = to_feature_xy(edges, 128, 64)
    assert on_features.tolist() == [[-0.5, 63.5], [0.0, 1.0]]
    assert torch.equal(to_picture_xy(on_features, 128, 64), edges)
    assert to_feature_length(8.0, 64) == 1.0


def test_sampling_equals_four_weighted_pixels() -> None:
    features = _features()
    rng = torch.Generator().manual_seed(1)
    xy = torch.rand(6, 7, 2, generator=rng) * 11 - 2
    values = sample(features, xy)
    assert values.shape == (6, 7, 5)
    for place, value in zip(xy.reshape(-1, 2).tolist(), values.reshape(-1, 5), strict=True):
        assert torch.allclose(value, bilinear(features, *place), atol=1e-6)


def test_sampling_is_exact_on_a_plane_and_at_pixel_centres() -> None:
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    plane = torch.stack([x, y])[None]
    xy = torch.tensor([[0.0, 0.0], [7.0, 7.0], [3.25, 5.5], [6.9, 0.1], [-3.0, 9.0]])
    assert torch.allclose(sample(plane, xy), xy.clamp(0, 7))


def test_the_gradient_of_sampling_goes_to_the_four_pixels_by_their_weights() -> None:
    features = _features(2, 5).requires_grad_()
    places = [(0.3, 1.7), (3.9, 3.9), (0.3, 1.7), (-1.0, 2.0)]
    weights = torch.arange(1.0, 9.0).reshape(4, 2)
    (gradient,) = torch.autograd.grad(
        (sample(features, torch.tensor(places)) * weights).sum(), [features]
    )
    literal = sum(
        (bilinear(features, *xy) * w).sum() for xy, w in zip(places, weights, strict=True)
    )
    assert isinstance(literal, Tensor)
    (expected,) = torch.autograd.grad(literal, [features])
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_a_batch_of_feature_maps_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\)"):
        sample(torch.zeros(2, 3, 4, 4), torch.zeros(1, 2))


def test_offsets_come_nearest_first_and_keep_the_radius() -> None:
    square = square_offsets(1.5, GRID_STEP)
    assert square.shape == (49, 2) and square[0].tolist() == [0.0, 0.0]
    assert square.abs().max() == 1.5
    lengths = square.norm(dim=1)
    assert bool((lengths[1:] >= lengths[:-1]).all())
    disk = disk_offsets(1.0, GRID_STEP)
    assert sorted(disk.tolist()) == sorted(
        [i / 2, j / 2] for i in range(-2, 3) for j in range(-2, 3) if math.hypot(i, j) <= 2
    )


def test_directions_have_the_length_asked_for_and_point_to_the_target() -> None:
    handles = torch.tensor([[1.0, 1.0], [5.0, 5.0]])
    targets = torch.tensor([[4.0, 5.0], [5.0, 2.0]])
    towards = directions(handles, targets, length=0.25, tolerance=0.1)
    assert torch.allclose(towards, 0.25 * torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


def test_a_handle_within_the_tolerance_rests() -> None:
    handles = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    targets = handles + torch.tensor([[0.06, 0.08], [0.0, 0.11], [0.0, 0.0]])
    towards = directions(handles, targets, length=0.5, tolerance=0.1 + 1e-6)
    assert towards[0].tolist() == towards[2].tolist() == [0.0, 0.0]
    assert torch.allclose(towards[1], torch.tensor([0.0, 0.5]))


def test_the_loss_is_the_mean_over_each_patch_summed_over_the_handles() -> None:
    features = _features()
    handles = torch.tensor([[2.2, 3.1], [5.0, 4.5]])
    towards = torch.tensor([[0.3, 0.0], [0.0, -0.25]])
    patch = disk_offsets(1.0, GRID_STEP)
    expected = 0.0
    for (x, y), (d_x, d_y) in zip(handles.tolist(), towards.tolist(), strict=True):
        for i, j in patch.tolist():
            source = bilinear(features, x + i, y + j)
            moved = bilinear(features, x + i + d_x, y + j + d_y)
            expected += float((source - moved).abs().mean()) / len(patch)
    loss = motion_loss(features, handles, towards, patch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_pushes_content_along_the_direction_and_never_back() -> None:
    """On a ramp, features ahead must fall towards the handle's value; those behind stay."""
    x = torch.arange(16.0).expand(16, 16)
    features = torch.stack([x, 2 * x])[None].clone().requires_grad_()
    handles = torch.tensor([[7.0, 7.0]])
    towards = torch.tensor([[1.0, 0.0]])
    motion_loss(features, handles, towards, torch.zeros(1, 2)).backward()
    assert features.grad is not None
    assert features.grad[0, :, 7, 8].tolist() == [0.5, 0.5]
    assert int((features.grad != 0).sum()) == 2


def test_a_resting_handle_adds_neither_loss_nor_gradient() -> None:
    features = _features().requires_grad_()
    loss = motion_loss(features, torch.tensor([[3.3, 3.3]]), torch.zeros(1, 2), torch.zeros(4, 2))
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad is not None and not features.grad.any()


def test_the_mask_term_counts_only_what_is_kept() -> None:
    first, now = _features(seed=1), _features(seed=2)
    movable = torch.zeros(16, 16, dtype=torch.bool)
    movable[:, :8] = True
    kept = kept_share(movable, 8)
    expected = float((now - first)[..., 4:].abs().sum()) / now.numel()
    assert float(mask_loss(now, first, kept)) == pytest.approx(expected, rel=1e-5)


def test_a_feature_pixel_on_the_masks_border_is_kept_by_its_share() -> None:
    movable = torch.ones(8, 8, dtype=torch.bool)
    movable[0, 0] = False
    kept = kept_share(movable, 4)
    assert kept[0, 0] == 0.25 and kept.sum() == 0.25
