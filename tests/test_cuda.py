"""A GPU does what the CPU does: run where there is one (`pytest -m cuda`), skipped elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.points import DragPoint
from drag.session import DragSession, DragStep
from inversion.perceptual import OfflineDistance
from inversion.projection import Inversion, ProjectionConfig, project, settled
from pipeline.failures import OK
from pti.config import TuningConfig
from pti.tuning import tune
from stylegan2.latents import w_statistics
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import Case

DEVICE = "cuda"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here"),
]

POINTS = [DragPoint((32.0, 30.0), (36.0, 31.0)), DragPoint((50.0, 50.0), (46.0, 51.0))]
SIZE = 64


def random_ws(num_ws: int, w_dim: int) -> Tensor:
    return torch.randn(1, num_ws, w_dim, generator=torch.Generator().manual_seed(3))


def on_both(work: Callable[[str], Tensor]) -> tuple[Tensor, Tensor]:
    return work(DEVICE), work("cpu")


def test_pictures_are_those_of_the_cpu() -> None:
    def picture(device: str) -> Tensor:
        generator = tiny_generator(SIZE).to(device)
        ws = random_ws(generator.num_ws, generator.w_dim).to(device)
        made: Tensor = generator.synthesis(ws).cpu()
        return made

    found, expected = on_both(picture)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("method", ["newton", "draggan"])
def test_drags_go_the_way_of_the_cpu_step_for_step(method: str, masked: bool) -> None:
    def steps(device: str) -> Tensor:
        generator = tiny_generator(SIZE, seed=1).to(device)
        ws = random_ws(generator.num_ws, generator.w_dim).to(device)
        mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        mask[:, 5:60] = True
        config = DragConfig(method=method)
        session = DragSession(generator, ws, None, POINTS, config, mask if masked else None)
        taken: list[DragStep] = [session.step() for _ in range(3)]
        return torch.tensor([step.handles for step in taken])

    found, expected = on_both(steps)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)


def test_projections_go_the_way_of_the_cpu() -> None:
    def distances(device: str) -> Tensor:
        generator = tiny_generator(SIZE).to(device)
        target = generator.synthesis(random_ws(generator.num_ws, generator.w_dim).to(device))
        steps = project(
            generator, target.clamp(-1, 1), OfflineDistance().to(device).eval(),
            settled(ProjectionConfig(steps=4), None), w_statistics(generator, 64),
            torch.Generator().manual_seed(5),
        )  # fmt: skip
        return torch.tensor([step.distance for step in steps])

    found, expected = on_both(distances)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-3)


def test_tunings_go_the_way_of_the_cpu() -> None:
    def losses(device: str) -> Tensor:
        generator = tiny_generator(SIZE).to(device)
        ws = random_ws(generator.num_ws, generator.w_dim).to(device)
        noise = {name: each.clone() for name, each in generator.synthesis.noise_consts().items()}
        target = -generator.synthesis(ws).clamp(-1, 1)
        config = replace(
            TuningConfig(), steps=4, learning_rate=1e-3, locality_pool=2, first_block=4
        )
        steps = tune(
            generator, [target], [Inversion(ws, noise)], OfflineDistance().to(device).eval(),
            config, torch.Generator().manual_seed(5),
        )  # fmt: skip
        return torch.tensor([step.l2 for step in steps])

    found, expected = on_both(losses)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("method", ["newton", "draggan"])
def test_all_commands_work(case: Case, run: Run, method: str) -> None:
    device = ["--device", DEVICE]
    for words in (
        case.invert(*device),
        case.tune(*device),
        case.drag("--method", method, *device),
        case.drag("--method", method, "--paste", "network", *device),
    ):
        outcome = run(words)
        assert outcome.code == OK, outcome.err
