"""Gauss-Newton drags: exact algebra, few steps, masks, and steps that are taken back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from drag import newton
from drag.config import DragConfig
from drag.newton import GaussNewton
from drag.points import DragPoint
from drag.scene import Scene
from drag.session import DragSession, StopReason
from drag.tracking import Tracked, track_in_fields
from stylegan2.checkpoint import load_generator
from stylegan2.embedded import embedded_path
from stylegan2.generator import Generator
from stylegan2.latents import to_ws
from tests.factories import tiny_generator


@pytest.fixture(scope="module")
def faces() -> Generator:
    return load_generator(embedded_path("embedded-128")).eval().requires_grad_(False)


def _ws(generator: Generator, seed: int = 0) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return to_ws(generator.mapping(z, 0.7), generator.num_ws).clone()


NOSE = DragPoint((64.0, 74.0), (69.0, 74.0))


def _drag(generator: Generator, method: str, points: list[DragPoint]) -> DragSession:
    config = DragConfig(method=method, steps=120)
    session = DragSession(generator, _ws(generator), None, points, config)
    list(session.run())
    return session


def test_a_nose_arrives_in_a_few_steps_where_the_papers_method_takes_dozens(
    faces: Generator,
) -> None:
    ours, papers = _drag(faces, "newton", [NOSE]), _drag(faces, "draggan", [NOSE])
    assert ours.last.stop is StopReason.ARRIVED
    assert ours.last.step <= 10
    assert papers.last.step >= 3 * ours.last.step


def test_a_handle_at_its_target_is_an_anchor(faces: Generator) -> None:
    corner = (52.0, 90.0)
    held = _drag(faces, "newton", [NOSE, DragPoint(corner, corner)])
    assert held.last.stop is StopReason.ARRIVED
    assert held.last.distances[1] <= 0.3
    free = _drag(faces, "newton", [NOSE])
    assert float((free.ws - held.ws).norm()) > 0.1


def test_the_least_change_solves_the_damped_normal_equations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = torch.Generator().manual_seed(0)
    rows, goal = torch.randn(4, 60, generator=rng), torch.randn(4, generator=rng)
    monkeypatch.setattr(newton, "DAMPING", 0.0)
    exact = newton._least_change(rows, goal, rows)
    assert torch.allclose(rows @ exact, goal, atol=1e-4)
    shortest = torch.linalg.pinv(rows) @ goal
    assert torch.allclose(exact, shortest, atol=1e-4)
    monkeypatch.setattr(newton, "DAMPING", 0.5)
    damped = newton._least_change(rows, goal, rows)
    assert damped.norm() < exact.norm()


def test_the_jacobian_says_where_the_handle_will_be(faces: Generator) -> None:
    """Along the step that it proposes, a small part of it moves the tracked handle as foretold."""
    scene = Scene(faces, None, _ws(faces), [NOSE], None, DragConfig())
    method = GaussNewton(scene, DragConfig())
    wanted = torch.tensor([[0.5, 0.0]])
    change, ways = method._solve(wanted)
    foretold = ways[0]
    start = method._moving
    view = scene.render(start + change, scene.handles.tolist(), method._reach)
    found = track_in_fields(
        view.fields,
        method._template,
        method._patch,
        method._weights,
        scene.handles,
        method._search,
        scene.extent,
    )
    moved = (found.handles - scene.handles)[0]
    assert moved[0] == pytest.approx(float(foretold[0]), abs=0.2)
    assert moved[1] == pytest.approx(float(foretold[1]), abs=0.2)
    assert moved[0] > 0.25


def test_a_mask_keeps_more_of_what_it_protects(faces: Generator) -> None:
    movable = torch.zeros(128, 128, dtype=torch.bool)
    movable[54:100, 40:90] = True
    before = faces.synthesis(_ws(faces))
    changes = []
    for mask in (None, movable):
        session = DragSession(faces, _ws(faces), None, [NOSE], DragConfig(), mask)
        list(session.run())
        assert session.last.stop is StopReason.ARRIVED
        difference = (session.picture() - before).abs().mean(dim=1)[0]
        changes.append(float(difference[~movable].mean()))
    assert changes[1] < 0.9 * changes[0]


def test_a_step_that_does_not_help_is_taken_back(
    faces: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def astray(*arguments: Any) -> Tracked:
        return Tracked(torch.tensor([[5.0, 5.0]]), torch.zeros(1))

    monkeypatch.setattr(newton, "track_in_fields", astray)
    session = DragSession(faces, _ws(faces), None, [NOSE], DragConfig())
    before = session.ws
    steps = list(session.run())
    assert steps[-1].stop is StopReason.NO_PROGRESS
    assert len(steps) < 20
    assert torch.equal(session.ws, before)
    assert all(step.handles[0] == pytest.approx(NOSE.handle) for step in steps)


def test_near_handles_have_small_patches() -> None:
    handles = torch.tensor([[10.0, 10.0], [12.0, 10.0], [40.0, 40.0]])
    assert newton._radii(handles, 5.0, 1.5).tolist() == [2.0, 2.0, 5.0]
    assert newton._radii(handles[:1], 5.0, 1.5).tolist() == [5.0]
    close = torch.tensor([[10.0, 10.0], [10.5, 10.0]])
    assert newton._radii(close, 5.0, 1.5).tolist() == [1.5, 1.5]


def test_the_same_drag_is_the_same_result(faces: Generator) -> None:
    movable = torch.ones(128, 128, dtype=torch.bool)
    movable[:30] = False
    ws = []
    for _ in range(2):
        session = DragSession(faces, _ws(faces), None, [NOSE], DragConfig(), movable)
        list(session.run())
        ws.append(session.ws)
    assert torch.equal(ws[0], ws[1])


def test_a_handle_on_nothing_at_all_stays_and_says_so() -> None:
    """All features are equal, so that no step can tell where the handle would go."""
    generator = tiny_generator(32, channel_max=4)
    for block in (4, 8, 16):
        generator.synthesis.block(block).conv1.weight.zero_()
        generator.synthesis.block(block).conv1.noise_strength.zero_()
    ws = torch.randn(1, generator.num_ws, generator.w_dim)
    session = DragSession(generator, ws, None, [DragPoint((10.0, 10.0), (16.0, 12.0))])
    last = list(session.run())[-1]
    assert last.stop is StopReason.NO_PROGRESS
    assert last.handles[0] == pytest.approx((10.0, 10.0))


def _pulled_apart(count: int) -> list[DragPoint]:
    """Pull places all over the face in directions that no face follows at once."""
    rng = torch.Generator().manual_seed(3)
    rows = torch.tensor([44.0, 54.0, 64.0, 74.0, 84.0]) + 2.0
    places = torch.cartesian_prod(rows, rows)[torch.randperm(25, generator=rng)[:count]]
    ways = 6 * torch.nn.functional.normalize(torch.randn(count, 2, generator=rng), dim=1)
    ends = zip(places.tolist(), (places + ways).tolist(), strict=True)
    return [DragPoint((a, b), (c, d)) for (a, b), (c, d) in ends]


def test_many_handles_that_contradict_each_other_stop_where_going_on_would_cost_most(
    faces: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = _pulled_apart(25)
    worth_it = _drag(faces, "newton", points)
    monkeypatch.setattr(newton, "WORTH", 0.0)
    to_the_end = _drag(faces, "newton", points)
    assert worth_it.last.stop is StopReason.NO_PROGRESS
    assert worth_it.last.step < to_the_end.last.step
    changes = [float((each.result[1] - _ws(faces)).norm()) for each in (worth_it, to_the_end)]
    assert changes[0] < 0.8 * changes[1]
    assert sum(worth_it.result[0].distances) < 0.7 * 25 * 6


def test_a_kept_jacobian_says_what_the_last_step_did_and_nothing_new_across_it() -> None:
    rng = torch.Generator().manual_seed(0)
    rows, change, went, across = (
        torch.randn(*shape, generator=rng) for shape in ((6, 40), (40,), (6,), (40,))
    )
    across = across - change * (across @ change) / change.square().sum()
    kept = newton.broyden(rows, change, went)
    torch.testing.assert_close(kept @ change, went)
    torch.testing.assert_close(kept @ across, rows @ across, rtol=1e-4, atol=1e-4)


def test_many_handles_keep_their_jacobian_over_steps(
    faces: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    displacements = GaussNewton._displacements

    def counted(self: GaussNewton, view: Any) -> Any:
        taken.append(len(self._handles))
        return displacements(self, view)

    monkeypatch.setattr(GaussNewton, "_displacements", counted)
    many = _drag(faces, "newton", _pulled_apart(25))
    assert len(taken) <= many.last.step / 2
    taken.clear()
    few = _drag(faces, "newton", [NOSE])
    assert len(taken) == few.last.step


def test_few_handles_go_as_far_as_they_can_whatever_it_costs(
    faces: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = _pulled_apart(9)
    as_it_is = _drag(faces, "newton", points)
    monkeypatch.setattr(newton, "WORTH", 0.0)
    assert torch.equal(as_it_is.ws, _drag(faces, "newton", points).ws)
