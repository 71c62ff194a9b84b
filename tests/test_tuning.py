"""Pivotal tuning reaches the photo, keeps other faces, and says why it stopped."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from inversion.perceptual import OfflineDistance
from inversion.projection import Inversion
from pti.locality import build_locality_pool
from pti.optimizer import TuningOptimizer, share_at
from pti.orthogonal import Orthogonal, orthogonal
from pti.tuning import TuningConfig, TuningStep, settled, tune
from stylegan2.generator import Generator, SynthesisNetwork
from stylegan2.latents import to_ws
from stylegan2.layers import SynthesisBlock
from tests.factories import tiny_generator

CONFIG = TuningConfig(
    steps=60,
    learning_rate=3e-3,
    locality_pool=4,
    patience=10_000,
    l2_threshold=0,
    perceptual_threshold=0,
    l2_weight=1.0,
    locality_every=1,
)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return tiny_generator(16)


def an_inversion(generator: Generator, seed: int) -> Inversion:
    rng = torch.Generator().manual_seed(seed)
    w = generator.mapping(torch.randn(1, generator.config.z_dim, generator=rng))
    noise = {
        name: torch.randn(old.shape, generator=rng)
        for name, old in generator.synthesis.noise_consts().items()
    }
    return Inversion(to_ws(w, generator.num_ws).clone(), noise)


def near(generator: Generator, inversion: Inversion, seed: int, amount: float = 0.15) -> Tensor:
    image: Tensor = generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    rng = torch.Generator().manual_seed(seed)
    smooth = torch.randn(1, 3, 8, 8, generator=rng)
    return image + amount * torch.nn.functional.interpolate(smooth, size=16, mode="bilinear")


def run(
    generator: Generator, targets: list[Tensor], inversions: list[Inversion], config: TuningConfig
) -> tuple[Generator, list[TuningStep]]:
    tuned = copy.deepcopy(generator)
    rng = torch.Generator().manual_seed(0)
    return tuned, list(tune(tuned, targets, inversions, OfflineDistance(), config, rng))


def error(generator: Generator, inversion: Inversion, target: Tensor) -> float:
    image = generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    return float((image - target).square().mean())


def test_tuning_comes_nearer_to_the_photo_with_the_noise_it_was_given(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2)
    tuned, steps = run(generator, [target], [inversion], CONFIG)
    assert steps[0].l2 == pytest.approx(error(generator, inversion, target), rel=1e-4)
    assert error(tuned, inversion, target) < 0.6 * error(generator, inversion, target)
    assert steps[-1].stop == "step_limit"


def test_several_photos_share_one_generator(generator: Generator) -> None:
    inversions = [an_inversion(generator, 1), an_inversion(generator, 7)]
    targets = [near(generator, inversion, 2) for inversion in inversions]
    tuned, _ = run(generator, targets, inversions, CONFIG)
    for inversion, target in zip(inversions, targets, strict=True):
        assert error(tuned, inversion, target) < 0.6 * error(generator, inversion, target)


def test_locality_regularization_keeps_the_faces_around_the_pivot(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2, amount=0.4)
    strong = dataclasses.replace(CONFIG, locality_weight=2.0)
    off = dataclasses.replace(CONFIG, locality_weight=0.0)
    kept, _ = run(generator, [target], [inversion], strong)
    free, _ = run(generator, [target], [inversion], off)
    around = build_locality_pool(
        generator, [inversion.w_pivot], CONFIG.locality_alpha, 8, torch.Generator().manual_seed(99)
    )

    def damage(tuned: Generator) -> float:
        changes = [
            float((tuned.synthesis(ws) - picture).square().mean())
            for ws, picture in zip(around.ws, around.pictures, strict=True)
        ]
        return sum(changes) / len(changes)

    assert damage(kept) < 0.7 * damage(free)


def test_locality_latents_lie_at_alpha_from_their_pivot_in_every_layer(
    generator: Generator,
) -> None:
    pivot = an_inversion(generator, 1).w_pivot
    pool = build_locality_pool(generator, [pivot], 7.07, 3, torch.Generator().manual_seed(0))
    for ws in pool.ws:
        lengths = (ws - pivot).norm(dim=2)
        assert torch.allclose(lengths, torch.full_like(lengths, 7.07), atol=1e-4)


def test_it_stops_when_the_thresholds_are_met_and_changes_nothing_more(
    generator: Generator,
) -> None:
    inversion = an_inversion(generator, 1)
    target = generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    tuned, steps = run(generator, [target], [inversion], TuningConfig(locality_pool=2))
    assert [step.stop for step in steps] == ["converged"]
    for name, tensor in tuned.state_dict().items():
        assert torch.equal(tensor, generator.state_dict()[name])


def test_it_stops_without_progress_and_says_so(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2)
    hopeless = dataclasses.replace(CONFIG, learning_rate=1e-7, patience=5)
    _, steps = run(generator, [target], [inversion], hopeless)
    assert steps[-1].stop == "no_progress"
    assert len(steps) == 6


def test_the_learning_rate_falls_over_the_last_steps() -> None:
    rates = [share_at(step, 100, 0.15) for step in range(1, 101)]
    assert rates[:84] == [1.0] * 84
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[84:]))
    assert 0 < rates[-1] < 0.1
    assert share_at(1, 1, 0.15) == pytest.approx(1 / 1.15)


def test_orthogonal_steps_begin_short_and_fall_longer() -> None:
    rates = [share_at(step, 100, 0.4, 4) for step in range(1, 101)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[3:59] == [1.0] * 56
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[60:]))


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_an_orthogonal_matrix_has_singular_values_near_1_and_the_same_directions(
    shape: tuple[int, int],
) -> None:
    rng = torch.Generator().manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape, generator=rng), full_matrices=False)
    values = torch.logspace(0, -2, 12)
    found = orthogonal(3.0 * left @ values.diag() @ right)
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.35
    inside = left.t() @ found @ right.t()
    assert torch.allclose(inside, inside.diag().diag(), atol=1e-3)


def test_no_gradient_is_no_orthogonal_step() -> None:
    weight = torch.ones(4, 3, 3, 3)
    moves = Orthogonal([weight], 0.1)
    moves.step([torch.zeros_like(weight)])
    moves.step([None])
    assert torch.equal(weight, torch.ones(4, 3, 3, 3))


def test_an_orthogonal_step_is_as_long_as_its_rate_and_only_convolutions_take_it() -> None:
    rng = torch.Generator().manual_seed(0)
    shapes = (8, 6, 3, 3), (3, 8, 1, 1), (8,)
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for each in parameters:
        each.grad = torch.randn(each.shape, generator=rng)
    optimizer = TuningOptimizer(parameters, 100, learning_rate=1e-3, orthogonal_rate=0.3)
    for number in (1, 2, 3):
        before = [each.detach().clone() for each in parameters]
        optimizer.step(number)
        gaps = [each.detach() - old for each, old in zip(parameters, before, strict=True)]
        steps = [float(gap.square().mean().sqrt()) for gap in gaps]
        assert steps[0] == pytest.approx(0.3 * number / 3, rel=0.2)
        assert steps[1:] == pytest.approx([1e-3 * number / 3] * 2, rel=0.05)


def test_orthogonal_steps_come_nearer_in_few_steps(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2)
    few = dataclasses.replace(CONFIG, steps=15)
    plain, _ = run(generator, [target], [inversion], few)
    turned, _ = run(
        generator, [target], [inversion], dataclasses.replace(few, orthogonal_rate=1e-2)
    )
    assert error(turned, inversion, target) < 0.9 * error(plain, inversion, target)


def test_what_is_left_out_is_ptis_unless_the_network_is_small_or_its_encoder_gives_the_pivot() -> (
    None
):
    def chosen(resolution: int, encoded: bool) -> tuple[object, ...]:
        config = settled(TuningConfig(), resolution, encoded=encoded)
        return config.steps, config.learning_rate, config.orthogonal_rate, config.first_block

    assert chosen(1024, False) == chosen(256, False) == (350, 3e-4, 0.0, 4)
    assert chosen(128, False) == chosen(128, True) == (350, 4e-3, 0.0, 16)
    assert chosen(256, True) == (60, 4e-3, 1e-2, 32)
    asked = TuningConfig(steps=9, learning_rate=1e-3, orthogonal_rate=0.0, first_block=8)
    assert settled(asked, 256, encoded=True) == asked


def test_what_comes_before_the_tuned_blocks_is_rendered_once(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2)
    config = dataclasses.replace(CONFIG, steps=4, first_block=16)
    ran: list[int] = []
    block = SynthesisNetwork.block

    def counted(synthesis: SynthesisNetwork, resolution: int) -> SynthesisBlock:
        ran.append(resolution)
        return block(synthesis, resolution)

    _, whole = run(generator, [target], [inversion], config)
    assert whole[0].l2 == pytest.approx(error(generator, inversion, target), rel=1e-4)
    tuned = copy.deepcopy(generator)
    steps = tune(
        tuned, [target], [inversion], OfflineDistance(), config, torch.Generator().manual_seed(0)
    )
    next(steps)
    monkeypatch.setattr(SynthesisNetwork, "block", counted)
    next(steps)
    assert set(ran) == {16}


def test_only_the_chosen_blocks_change(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    target = near(generator, inversion, 2)
    config = dataclasses.replace(CONFIG, steps=3, first_block=8, last_block=8, tune_torgb=False)
    tuned, _ = run(generator, [target], [inversion], config)
    before = generator.state_dict()
    changed = {name for name, t in tuned.state_dict().items() if not torch.equal(t, before[name])}
    assert changed
    assert all(name.startswith("synthesis.b8.conv") for name in changed)


def test_no_block_in_the_range_is_an_error_that_names_it(generator: Generator) -> None:
    inversion = an_inversion(generator, 1)
    config = dataclasses.replace(CONFIG, first_block=32)
    with pytest.raises(ValueError, match="first_block 32"):
        run(generator, [near(generator, inversion, 2)], [inversion], config)
