"""Films show every step, and what lies between a few long ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.failures import OK
from pipeline.picture.animation import gif_bytes, moments, spread
from pipeline.stages.artifact_files import between
from pipeline.stages.ground import Ground
from pipeline.stages.network_film import film_pictures
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import Case


def test_a_film_of_few_steps_has_moments_between_them() -> None:
    chosen = moments(3, least=7, most=20)
    assert chosen == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])


def test_a_film_of_many_steps_has_one_moment_a_step_up_to_the_most() -> None:
    assert moments(10, least=4, most=20) == list(range(11))
    assert moments(100, least=4, most=11) == pytest.approx(list(range(0, 101, 10)))


def test_a_drag_that_did_not_move_has_one_moment() -> None:
    assert moments(0) == [0.0]


def test_values_between_steps_lie_on_the_line_between_them() -> None:
    values = torch.tensor([[0.0, 10.0], [2.0, 20.0], [4.0, 0.0]])
    assert between(values, 0.5).tolist() == [[1.0, 15.0]]
    assert between(values, 1.0).tolist() == [[2.0, 20.0]]
    assert between(values, 2.0).tolist() == [[4.0, 0.0]]


def test_spread_keeps_the_ends() -> None:
    assert spread(3, 10) == [0, 1, 2]
    assert spread(100, 3) == [0, 50, 99]


def test_a_gif_holds_its_frames() -> None:
    frames = [np.full((16, 24, 3), value, np.uint8) for value in (0, 120, 250)]
    with Image.open(io.BytesIO(gif_bytes(frames))) as film:
        assert film.n_frames == 3 and film.size == (24, 16)


def test_a_small_film_runs_the_finest_block_for_its_ends_alone() -> None:
    generator = tiny_generator(32)
    z = torch.randn(2, generator.config.z_dim, generator=torch.Generator().manual_seed(1))
    ends = generator.mapping(z)[:, None].repeat(1, generator.num_ws, 1)
    ways = torch.cat([torch.lerp(ends[:1], ends[1:], share) for share in (0, 0.25, 0.5, 0.75, 1)])
    ground, finest = Ground(generator, ways[:1], None), []
    generator.synthesis.block(32).conv1.register_forward_hook(lambda *_: finest.append(1))
    pictures = list(film_pictures(ground, ways, 16))
    assert len(finest) == 2 and len(pictures) == 5
    for picture, ws in ((pictures[0], ways[:1]), (pictures[-1], ways[-1:])):
        torch.testing.assert_close(picture, ground.render(ws))
    whole = list(film_pictures(ground, ways, 384))
    assert torch.equal(whole[2], ground.render(ways[2:3]))


def test_the_stage_makes_its_film_of_the_network_no_finer_than_it_is_kept(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[Tensor] = []
    original = Ground.render

    def counting(self: Ground, ws: Tensor) -> Tensor:
        rendered.append(ws)
        return original(self, ws)

    monkeypatch.setattr(Ground, "render", counting)
    monkeypatch.setattr("pipeline.stages.drag.MAX_SIDE", 16, raising=False)
    assert run(finished.drag("--paste", "network")).code == OK
    assert len(rendered) <= 3
