"""Projection finds what a network made, keeps its noise, and starts where the photo is near."""

from __future__ import annotations

import dataclasses
from collections import deque

import pytest
import torch
from torch import Tensor

from inversion.encoder_networks import DeltaEncoder, Encoder, FaceEncoder
from inversion.nearest import build_start_table, nearest_w
from inversion.perceptual import OfflineDistance
from inversion.projection import (
    ProjectionConfig,
    ProjectionStep,
    encoded_start,
    learning_rate_at,
    noise_regularization,
    project,
    settled,
)
from stylegan2.generator import Generator
from stylegan2.latents import w_statistics
from tests.factories import tiny_generator

CONFIG = settled(ProjectionConfig(steps=25), None)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return tiny_generator(32)


def picture(generator: Generator, seed: int) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    image: Tensor = generator(z)
    return image.clamp(-1, 1)


def run(
    generator: Generator,
    target: Tensor,
    config: ProjectionConfig = CONFIG,
    seed: int = 0,
    start: Tensor | None = None,
) -> list[ProjectionStep]:
    statistics = w_statistics(generator, samples=500)
    rng = torch.Generator().manual_seed(seed)
    return list(project(generator, target, OfflineDistance(), config, statistics, rng, start))


def test_projection_comes_nearer_to_a_picture_of_the_network(generator: Generator) -> None:
    steps = run(generator, picture(generator, 3))
    assert [s.step for s in steps] == list(range(1, 26))
    assert steps[-1].distance < 0.6 * steps[0].distance


def test_the_last_inversion_renders_the_last_distance_and_nothing_is_dropped(
    generator: Generator,
) -> None:
    target = picture(generator, 3)
    step = run(generator, target)[-1]
    last = step.inversion
    distance = OfflineDistance()
    with_noise = float(distance(generator.synthesis(last.w_pivot, last.noise_consts), target))
    without = float(distance(generator.synthesis(last.w_pivot), target))
    assert set(last.noise_consts) == set(generator.synthesis.noise_consts())
    assert abs(with_noise - step.distance) < 0.1 * abs(without - step.distance)


def test_equal_seeds_give_equal_inversions_and_the_generator_is_left_alone(
    generator: Generator,
) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    target = picture(generator, 5)
    a, b = run(generator, target)[-1].inversion, run(generator, target)[-1].inversion
    assert torch.equal(a.w_pivot, b.w_pivot)
    assert all(torch.equal(a.noise_consts[name], b.noise_consts[name]) for name in a.noise_consts)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_w_gives_one_latent_for_all_layers_and_w_plus_one_for_each(generator: Generator) -> None:
    target = picture(generator, 5)
    in_w = run(generator, target)[-1].inversion.w_pivot
    assert torch.equal(in_w, in_w[:, :1].expand_as(in_w))
    plus = dataclasses.replace(CONFIG, space="w+")
    in_w_plus = run(generator, target, plus)[-1].inversion.w_pivot
    assert not torch.allclose(in_w_plus[:, 0], in_w_plus[:, -1])


def test_noise_stays_normalised(generator: Generator) -> None:
    for noise in run(generator, picture(generator, 1))[-1].inversion.noise_consts.values():
        assert float(noise.mean()) == pytest.approx(0, abs=1e-5)
        assert float(noise.square().mean()) == pytest.approx(1, abs=1e-4)


def test_the_nearest_start_is_the_sampled_latent_that_made_the_picture(
    generator: Generator,
) -> None:
    table = build_start_table(generator, 24, torch.Generator().manual_seed(0))
    distance = OfflineDistance()
    hits = 0
    for i in range(0, 24, 4):
        small = table.pictures[i : i + 1].float() / 127.5 - 1
        target = torch.nn.functional.interpolate(small, size=32)
        hits += torch.equal(nearest_w(table, target, distance)[0], table.w[i])
    assert hits == 6


def test_a_near_start_begins_nearer_than_the_mean(generator: Generator) -> None:
    target = picture(generator, 3)
    table = build_start_table(generator, 200, torch.Generator().manual_seed(0))
    start = nearest_w(table, target, OfflineDistance())
    quiet = dataclasses.replace(CONFIG, steps=1, w_noise=0.0)
    near = run(generator, target, quiet, start=start)[0].distance
    assert near < run(generator, target, quiet)[0].distance


def test_noise_regularization_is_the_papers_sum_over_a_pyramid() -> None:
    noise = torch.randn(16, 16, generator=torch.Generator().manual_seed(0)).double()
    expected = 0.0
    levels = [noise.tolist()]
    halved = [
        [
            sum(noise[2 * i + a, 2 * j + b].item() for a in (0, 1) for b in (0, 1)) / 4
            for j in range(8)
        ]
        for i in range(8)
    ]
    levels.append(halved)
    for level in levels:
        n = len(level)
        across = sum(level[i][j] * level[i][j - 1] for i in range(n) for j in range(n)) / n**2
        down = sum(level[i][j] * level[i - 1][j] for i in range(n) for j in range(n)) / n**2
        expected += across**2 + down**2
    assert float(noise_regularization([noise])) == pytest.approx(expected, rel=1e-9)


def test_noise_images_regularized_together_give_the_sum_of_each_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    noises = [torch.randn(size, size, generator=rng).double() for size in (4, 8, 8, 32, 32, 64)]
    alone = sum(float(noise_regularization([noise])) for noise in noises)
    assert float(noise_regularization(noises)) == pytest.approx(alone, rel=1e-9)


def test_learning_rate_rises_linearly_stays_and_falls_as_a_cosine() -> None:
    config = settled(ProjectionConfig(), None)
    assert learning_rate_at(0.025, config) == pytest.approx(0.05)
    assert learning_rate_at(0.5, config) == pytest.approx(0.1)
    assert learning_rate_at(0.875, config) == pytest.approx(0.05)
    assert learning_rate_at(1.0, config) == pytest.approx(0.0)


def test_a_target_of_another_size_is_refused_with_both_shapes(generator: Generator) -> None:
    with pytest.raises(ValueError, match=r"\[1, 3, 32, 32\], got \(1, 3, 16, 16\)"):
        deque(run(generator, torch.zeros(1, 3, 16, 16)), maxlen=0)


def test_an_open_config_is_refused_and_a_given_number_is_kept() -> None:
    generator = tiny_generator(16)
    with pytest.raises(ValueError, match="settled"):
        run(generator, torch.zeros(1, 3, 16, 16), ProjectionConfig())
    asked = ProjectionConfig(steps=7, learning_rate=0.5, space="w")
    given = settled(asked, FaceEncoder(Encoder(16), DeltaEncoder(16, 8)))
    assert given == asked
    near, far = (settled(ProjectionConfig(), each) for each in (FaceEncoder(Encoder(16)), None))
    assert near.steps is not None and far.steps is not None
    assert 0 < near.steps < far.steps
    assert near.space == far.space == "w"


def test_an_encoder_that_knows_the_layers_latents_gives_the_pivot_without_a_step(
    generator: Generator,
) -> None:
    torch.manual_seed(0)
    encoder = FaceEncoder(Encoder(generator.w_dim), DeltaEncoder(generator.w_dim, 8))
    target = picture(generator, 3)
    config = settled(ProjectionConfig(), encoder)
    assert (config.space, config.steps) == ("w+", 0)
    start = encoded_start(encoder, target, config)
    (only,) = run(generator, target, config, start=start)
    assert torch.equal(only.inversion.w_pivot, encoder.ws(target, 8))
    own = generator.synthesis.noise_consts()
    assert all(torch.equal(own[name], each) for name, each in only.inversion.noise_consts.items())
    rendered = generator.synthesis(only.inversion.w_pivot, only.inversion.noise_consts)
    assert only.distance == pytest.approx(float(OfflineDistance()(rendered, target)))


def test_asked_for_w_the_same_encoder_starts_there_and_steps_follow(generator: Generator) -> None:
    encoder = FaceEncoder(Encoder(generator.w_dim), DeltaEncoder(generator.w_dim, 8))
    config = settled(ProjectionConfig(space="w"), encoder)
    assert config.steps == 100
    start = encoded_start(encoder, picture(generator, 3), config)
    assert torch.equal(start, encoder.w(picture(generator, 3)))


def test_steps_in_w_plus_go_on_from_each_layers_own_latent(generator: Generator) -> None:
    ws = generator.mapping(torch.randn(8, 16, generator=torch.Generator().manual_seed(5)))[None]
    still = dataclasses.replace(CONFIG, space="w+", steps=1, learning_rate=1e-7, w_noise=0.0)
    (only,) = run(generator, picture(generator, 3), still, start=ws)
    assert torch.allclose(only.inversion.w_pivot, ws, atol=1e-5)
