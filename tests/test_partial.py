"""Synthesis in two parts equals the whole."""

from __future__ import annotations

import copy

import pytest
import torch

from stylegan2.generator import Generator
from stylegan2.partial import features_at, frozen, resume
from tests.factories import tiny_generator


def _ws(generator: Generator, seed: int = 1) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(1, generator.num_ws, generator.w_dim, generator=rng)


@pytest.mark.parametrize("resolution", [4, 8, 16, 32])
def test_the_two_parts_together_equal_the_whole(resolution: int) -> None:
    generator = tiny_generator(32)
    ws = _ws(generator)
    rng = torch.Generator().manual_seed(2)
    noise = {
        name: torch.randn(layer.resolution, layer.resolution, generator=rng)
        for name, layer in generator.synthesis.layers()
    }
    whole = generator.synthesis(ws, noise)
    lower = features_at(generator, ws, noise, resolution, with_image=True)
    assert lower.resolution == resolution
    assert lower.features.shape[2:] == (resolution, resolution)
    assert torch.equal(resume(generator, lower, ws, noise), whole)


def test_the_noise_given_reaches_both_parts() -> None:
    generator = tiny_generator(16)
    ws = _ws(generator)
    own = generator.synthesis(ws)
    zeros = {name: torch.zeros_like(n) for name, n in generator.synthesis.noise_consts().items()}
    lower = features_at(generator, ws, zeros, 8, with_image=True)
    assert torch.equal(resume(generator, lower, ws, zeros), generator.synthesis(ws, zeros))
    assert not torch.allclose(
        resume(generator, lower, ws, None), resume(generator, lower, ws, zeros)
    )
    assert not torch.allclose(own, generator.synthesis(ws, zeros))


def test_blocks_above_the_wanted_one_do_not_run() -> None:
    generator = tiny_generator(32)
    generator.synthesis.block(32).conv0.weight.data.fill_(torch.nan)
    output = features_at(generator, _ws(generator), None, 16)
    assert output.image is None
    assert output.features.isfinite().all()


def test_going_on_without_an_image_says_what_is_missing() -> None:
    generator = tiny_generator(16)
    ws = _ws(generator)
    with pytest.raises(ValueError, match="with_image=True"):
        resume(generator, features_at(generator, ws, None, 8), ws, None)


def test_a_block_that_does_not_exist_is_refused_with_the_sizes() -> None:
    generator = tiny_generator(16)
    with pytest.raises(ValueError, match=r"\(4, 8, 16\), got 32"):
        features_at(generator, _ws(generator), None, 32)


def test_a_frozen_generator_shares_memory_and_leaves_the_flags_alone() -> None:
    generator = tiny_generator(16).requires_grad_(True)
    before = copy.deepcopy(generator.state_dict())
    still = frozen(generator)
    assert all(parameter.requires_grad for parameter in generator.parameters())
    assert not any(parameter.requires_grad for parameter in still.parameters())
    shared = {name: t.data_ptr() for name, t in generator.state_dict().items()}
    assert {name: t.data_ptr() for name, t in still.state_dict().items()} == shared
    ws = _ws(generator).requires_grad_()
    still.synthesis(ws).square().sum().backward()
    assert ws.grad is not None and ws.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in generator.parameters())
    assert all(torch.equal(t, before[name]) for name, t in generator.state_dict().items())


def test_a_frozen_generator_shares_what_is_made_from_its_weights() -> None:
    generator = tiny_generator(16)
    ws = torch.randn(1, generator.num_ws, generator.w_dim)
    first, second = frozen(generator), frozen(generator)
    expected = first.synthesis(ws)
    (_, one), (_, other) = next(first.synthesis.layers()), next(second.synthesis.layers())
    assert one.forms is other.forms
    with torch.no_grad():
        generator.synthesis.block(8).conv1.weight.mul_(-1)
    changed = second.synthesis(ws)
    assert not torch.allclose(changed, expected, atol=1e-3)
    torch.testing.assert_close(first.synthesis(ws), changed)
