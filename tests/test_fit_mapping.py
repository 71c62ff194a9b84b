"""A fitted mapping samples the distribution it was given, and pictures stay the same."""

from __future__ import annotations

import copy

import pytest
import torch

from inversion.encoder_networks import DeltaEncoder, Encoder
from stylegan2.latents import to_ws
from tests.factories import tiny_generator
from tools.adversarial.mapping import SPREAD, encode_all, fit_mapping


def test_samples_have_the_mean_and_covariance_of_the_latents_and_pictures_stay() -> None:
    generator = tiny_generator(16)
    size = generator.w_dim
    encoder = Encoder(size, width=4)
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=rng, dtype=torch.uint8)
    mix = torch.randn(size, size, generator=rng) / size**0.5
    latents = torch.randn(4000, size, generator=rng) @ mix + 3.0
    delta = DeltaEncoder(size, generator.num_ws)
    fitted, shifted = copy.deepcopy(generator), copy.deepcopy(encoder)
    scaled = copy.deepcopy(delta)
    fit_mapping(fitted, shifted, latents, scaled)
    w = fitted.mapping(torch.randn(20_000, generator.config.z_dim, generator=rng)).detach()
    assert float(w.var(dim=0).sum()) ** 0.5 == pytest.approx(SPREAD, rel=0.02)
    scale = SPREAD / float(latents.var(dim=0).sum()) ** 0.5
    expected = torch.cov(scale * latents.t())
    variance = float(expected.diagonal().mean())
    assert torch.allclose(torch.cov(w.t()), expected, atol=0.1 * variance)
    assert torch.allclose(w.mean(dim=0), fitted.mapping.w_avg, atol=0.05 * variance**0.5)

    before, after = encode_all(encoder, images), encode_all(shifted, images)
    assert before.shape == (16, size)
    expected = scale * (before - latents.mean(dim=0)) + fitted.mapping.w_avg
    assert torch.allclose(after, expected, atol=1e-3)
    rendered = generator.synthesis(to_ws(before, generator.num_ws))
    again = fitted.synthesis(to_ws(after, generator.num_ws))
    assert torch.allclose(again, rendered, atol=2e-2)
    assert float(rendered.std()) > 0.1
    photos = images.float() / 127.5 - 1
    with torch.no_grad():
        plus = generator.synthesis(encoder(photos)[:, None] + delta(photos))
        moved = fitted.synthesis(shifted(photos)[:, None] + scaled(photos))
    assert torch.allclose(moved, plus, atol=2e-2)


def test_z_and_w_of_other_sizes_are_refused() -> None:
    generator = tiny_generator(16, z_dim=24)
    with pytest.raises(ValueError, match="z_dim 24 must equal w_dim"):
        fit_mapping(generator, Encoder(generator.w_dim, width=4), torch.zeros(4, generator.w_dim))
