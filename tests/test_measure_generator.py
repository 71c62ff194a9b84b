"""What is measured of a generator: how its samples lie among photos, and how near photos come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from inversion.encoder_networks import Encoder, FaceEncoder
from tests.factories import tiny_generator
from tools.measure_generator import (
    by_tone,
    precision_and_recall,
    rebuilt_psnr,
    skin_tones,
    spread,
)


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
    assert near == pytest.approx(np.array([[10 * np.log10(4 / 0.02**2)]]), abs=0.1)
    assert far[0, 0] < near[0, 0]


def test_pictures_are_picked_evenly_and_never_more_than_there_are() -> None:
    images = torch.arange(11, dtype=torch.uint8)[:, None, None, None].expand(11, 3, 2, 2)
    picked = (spread(images, 3)[:, 0, 0, 0] + 1) * 127.5
    assert picked.round().tolist() == [0, 5, 10]
    assert len(spread(images, 99)) == 11


def test_lighter_cheeks_have_the_larger_angle_whatever_lies_around_them() -> None:
    light, dark = (235, 205, 185), (95, 60, 45)
    photos = torch.full((2, 3, 64, 64), -1.0)
    for photo, skin in zip(photos, (light, dark), strict=True):
        photo[:, 34:46, 12:52] = torch.tensor(skin)[:, None, None] / 127.5 - 1
    tones = skin_tones(photos)
    assert tones[0] > 41 > 10 > tones[1]


def test_figures_are_told_of_all_and_of_thirds_by_tone() -> None:
    psnr = np.array([[20.0], [22.0], [24.0]])
    rows = by_tone(psnr, np.array([5.0, 60.0, 30.0]))
    assert rows == [
        ("all", "3", "22.0"),
        ("light", "1", "22.0"),
        ("middle", "1", "24.0"),
        ("dark", "1", "20.0"),
    ]
