"""What is measured of a generator: how its samples lie among photos, and how near photos come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inversion.encoder_networks import Encoder, FaceEncoder
from tests.factories import tiny_generator
from tools.measure_generator import precision_and_recall, rebuilt_psnr, spread


def test_one_kind_of_sample_has_precision_and_little_recall() -> None:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((60, 4)) + shift for shift in (-20.0, 20.0))
    photos = np.concatenate([left, right])
    only_left = rng.standard_normal((60, 4)) - 20.0
    precision, recall = precision_and_recall(only_left, photos)
    assert precision > 0.8
    assert 0.3 < recall < 0.55
    assert precision_and_recall(only_left + 500.0, photos) == (0.0, 0.0)


def test_a_photo_that_the_generator_drew_is_rebuilt_better_than_another() -> None:
    generator = tiny_generator(16)

    class Known(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), generator.w_dim)

    encoder = Encoder(generator.w_dim, 4)
    encoder.forward = Known().forward  # type: ignore[method-assign]
    ws = torch.zeros(1, generator.num_ws, generator.w_dim)
    own = generator.synthesis(ws).clamp(-1, 1)
    near, far = (
        rebuilt_psnr(generator, FaceEncoder(encoder), photo) for photo in (own + 0.02, -own)
    )
    assert near == pytest.approx((10 * np.log10(4 / 0.02**2),), abs=0.1)
    assert far[0] < near[0]


def test_pictures_are_picked_evenly_and_never_more_than_there_are() -> None:
    images = torch.arange(11, dtype=torch.uint8)[:, None, None, None].expand(11, 3, 2, 2)
    picked = (spread(images, 3)[:, 0, 0, 0] + 1) * 127.5
    assert picked.round().tolist() == [0, 5, 10]
    assert len(spread(images, 99)) == 11
