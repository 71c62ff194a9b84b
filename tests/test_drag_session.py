"""DragSession against the literal reference, its stops, and what it leaves alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from drag.draggan import DragGan
from drag.methods import METHODS, Method
from drag.points import DragPoint
from drag.scene import View
from drag.session import DragConfig, DragDiverged, DragSession, StopReason
from drag.stopping import StopRule, tolerance_of
from drag.tracking import Moved, Tracked
from stylegan2.generator import Generator
from stylegan2.partial import features_at
from tests.factories import tiny_generator
from tests.literal_draggan import bilinear, literal_drag


def _ws(generator: Generator, seed: int = 2) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    w: Tensor = generator.mapping(z)
    return w[:, None].repeat(1, generator.num_ws, 1)


def _noise(generator: Generator) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(9)
    own = generator.synthesis.noise_consts()
    return {name: torch.randn(noise.shape, generator=rng) for name, noise in own.items()}


def _left_half(resolution: int) -> Tensor:
    movable = torch.zeros(resolution, resolution, dtype=torch.bool)
    movable[:, : resolution // 2 + 1] = True
    return movable


EASY = [DragPoint((8.0, 8.0), (9.0, 7.5))]


def _paper(**settings: Any) -> DragConfig:
    """Return the paper's method, which the literal reference follows."""
    return DragConfig(method="draggan", **settings)


def _easy_session(config: DragConfig | None = None, **changes: object) -> DragSession:
    """Start a drag on a 16 network that arrives after a few dozen steps."""
    generator = tiny_generator(16, seed=2)
    arguments = {"points": EASY, "config": config or _paper(), **changes}
    return DragSession(generator, _ws(generator), None, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize(("resolution", "seed"), [(16, 0), (16, 1), (32, 2), (32, 3)])
def test_the_session_equals_the_literal_reference(
    resolution: int, seed: int, with_mask: bool
) -> None:
    generator = tiny_generator(resolution, seed=seed, channel_max=8)
    ws, noise = _ws(generator, seed), _noise(generator)
    scale = resolution / 16
    points = [
        DragPoint((5.0 * scale, 6.2 * scale), (8.0 * scale, 7.0 * scale)),
        DragPoint((7.3 * scale, 9.0 * scale), (7.3 * scale, 9.01 * scale)),  # rests at first
    ]
    movable = _left_half(resolution) if with_mask else None
    session = DragSession(generator, ws, noise, points, _paper(), movable)
    literal = literal_drag(
        generator,
        ws,
        noise,
        [point.handle for point in points],
        [point.target for point in points],
        steps=6,
        movable_mask=movable,
    )
    for expected in literal:
        step = session.step()
        assert step.loss == pytest.approx(expected.loss, rel=1e-4)
        assert float((session.ws - expected.ws).norm() / (expected.ws - ws).norm()) < 1e-2
        assert float((session.ws - expected.ws).norm() / expected.ws.norm()) < 1e-4
        for handle, expected_handle in zip(step.handles, expected.handles, strict=True):
            assert handle == pytest.approx(expected_handle, abs=1e-4)
    assert step.handles[0] != points[0].handle


@pytest.mark.parametrize(("resolution", "channels"), [(32, 8), (64, 8), (128, 4)])
@pytest.mark.parametrize("seed", [0, 1])
def test_fifty_steps_in_windows_equal_the_literal_reference(
    resolution: int, channels: int, seed: int
) -> None:
    generator = tiny_generator(resolution, seed=seed, channel_max=channels)
    ws, noise = _ws(generator, seed), _noise(generator)
    side = resolution - 1
    points = [
        DragPoint((0.2 * side, 0.3 * side), (0.6 * side, 0.5 * side)),
        DragPoint((0.25 * side, 0.35 * side), (0.7 * side, 0.9 * side)),
        DragPoint((0.9 * side, 0.95 * side), (0.4 * side, 0.6 * side)),
    ]
    session = DragSession(generator, ws, noise, points, _paper(steps=50))
    literal = literal_drag(
        generator,
        ws,
        noise,
        [point.handle for point in points],
        [point.target for point in points],
        steps=50,
    )
    compared = 0
    for expected in literal:
        step = session.step()
        for handle, expected_handle in zip(step.handles, expected.handles, strict=True):
            assert handle == pytest.approx(expected_handle, abs=1e-4)
        assert float((session.ws - expected.ws).norm() / expected.ws.norm()) < 1e-3
        compared += 1
        if step.stop is not None:
            break
    assert compared >= 20


def test_settings_reach_the_algorithm() -> None:
    generator = tiny_generator(32, seed=4, channel_max=8)
    ws = _ws(generator)
    points = [DragPoint((12.0, 15.0), (20.0, 15.0))]
    movable = _left_half(32)
    config = _paper(learning_rate=5e-3, r1=70, r2=90, lambda_mask=3, num_moving_ws=3)
    session = DragSession(generator, ws, None, points, config, movable)
    literal = literal_drag(
        generator, ws, None, [(12.0, 15.0)], [(20.0, 15.0)], steps=3, movable_mask=movable,
        learning_rate=5e-3, r1=70, r2=90, lambda_mask=3, num_moving_ws=3,
    )  # fmt: skip
    for expected in literal:
        step = session.step()
        assert step.loss == pytest.approx(expected.loss, rel=1e-4)
        assert torch.allclose(session.ws, expected.ws, rtol=1e-4, atol=1e-5)
        assert step.handles[0] == pytest.approx(expected.handles[0], abs=1e-4)


def test_before_the_first_step_the_picture_is_the_one_that_came_in() -> None:
    generator = tiny_generator(32)
    ws, noise = _ws(generator), _noise(generator)
    session = DragSession(generator, ws, noise, [DragPoint((9, 9), (12, 12))])
    assert torch.equal(session.picture(), generator.synthesis(ws, noise))
    assert session.last.step == 0
    assert session.last.distances[0] == pytest.approx(18**0.5)
    session.step()
    assert torch.equal(session.picture(), generator.synthesis(session.ws, noise))
    assert not torch.equal(session.ws, ws)


def test_a_drag_arrives_and_its_content_is_there() -> None:
    session = _easy_session()
    before = features_at(tiny_generator(16, seed=2), session.ws, None, 8).features
    steps = list(session.run())
    assert steps[-1].stop is StopReason.ARRIVED
    assert all(step.stop is None for step in steps[:-1])
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].distances[0] <= 2 / 16 < steps[-2].distances[0]
    assert torch.equal(session.result[1], session.ws)
    after = features_at(tiny_generator(16, seed=2), session.ws, None, 8).features
    content = _at(before, 8.0, 8.0)
    there_before, there_after = _at(before, 9.0, 7.5), _at(after, 9.0, 7.5)
    assert (there_after - content).abs().sum() < 0.8 * (there_before - content).abs().sum()


def _at(features: Tensor, x: float, y: float) -> Tensor:
    return bilinear(features, (x + 0.5) / 2 - 0.5, (y + 0.5) / 2 - 0.5)


def test_only_the_first_ws_move() -> None:
    generator = tiny_generator(32)
    ws = _ws(generator)
    config = _paper(num_moving_ws=2)
    session = DragSession(generator, ws, None, [DragPoint((9, 9), (15, 12))], config)
    for _ in range(3):
        session.step()
    assert torch.equal(session.ws[:, 2:], ws[:, 2:])
    assert bool((session.ws[:, :2] != ws[:, :2]).any(dim=2).all())


def test_nothing_of_the_callers_is_changed() -> None:
    generator = tiny_generator(16, seed=2).requires_grad_(True)
    state = copy.deepcopy(generator.state_dict())
    ws, noise = _ws(generator).detach(), _noise(generator)
    ws_before, noise_before = ws.clone(), copy.deepcopy(noise)
    session = DragSession(generator, ws, noise, EASY, None, _left_half(16))
    session.step()
    session.picture()
    assert torch.equal(ws, ws_before)
    assert all(torch.equal(noise[name], noise_before[name]) for name in noise)
    assert all(torch.equal(t, state[name]) for name, t in generator.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in generator.parameters())
    assert not session.ws.requires_grad and not session.picture().requires_grad


def test_a_step_works_where_the_caller_has_switched_gradients_off() -> None:
    with torch.no_grad():
        inside = _easy_session()
        step = inside.step()
    outside = _easy_session()
    assert outside.step() == step
    assert torch.equal(inside.ws, outside.ws)


def test_the_step_limit_ends_a_drag() -> None:
    steps = list(_easy_session(_paper(steps=2)).run())
    assert [step.stop for step in steps] == [None, StopReason.STEP_LIMIT]


def test_a_stopped_session_says_so() -> None:
    session = _easy_session(_paper(steps=1))
    session.step()
    assert list(session.run()) == []
    with pytest.raises(ValueError, match="the session has stopped: step_limit"):
        session.step()


def test_cancelling_keeps_the_last_step_as_the_result() -> None:
    session = _easy_session()
    seen = []
    for step in session.run():
        seen.append(step)
        if step.step == 3 and step.stop is None:
            kept = session.ws
            session.cancel()
    assert [step.step for step in seen] == [1, 2, 3, 3]
    assert seen[-1] == replace(seen[-2], stop=StopReason.CANCELLED)
    assert session.ws is kept


def test_cancelling_during_a_step_ends_with_that_step(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _easy_session()
    render = session._scene.render

    def cancel_while_rendering(*arguments: Any) -> View:
        session.cancel()
        return render(*arguments)

    monkeypatch.setattr(session._scene, "render", cancel_while_rendering)
    before = session.ws
    steps = list(session.run())
    assert [(step.step, step.stop) for step in steps] == [(1, StopReason.CANCELLED)]
    assert not torch.equal(session.ws, before)


def test_cancelling_before_the_first_step_moves_nothing() -> None:
    session = _easy_session()
    before = session.picture()
    session.cancel()
    (step,) = session.run()
    assert step.step == 0 and step.stop is StopReason.CANCELLED
    assert step.handles == ((8.0, 8.0),)
    assert torch.equal(session.picture(), before)


def test_a_picture_that_falls_apart_is_lost_track_and_the_best_ws_are_kept() -> None:
    session = _easy_session(_paper(learning_rate=3.0))
    before = session.ws
    last = list(session.run())[-1]
    assert last.stop is StopReason.LOST_TRACK
    if last.step == 1:
        assert session.result[1] is before
    assert not torch.equal(session.ws, before)


def _tracking_returns(monkeypatch: pytest.MonkeyPatch, feature_xy: tuple[float, float]) -> None:
    def found(*arguments: Any) -> Tracked:
        return Tracked(torch.tensor([feature_xy]), torch.zeros(1))

    monkeypatch.setattr("drag.draggan.track_in_fields", found)


def test_a_handle_that_runs_out_of_the_picture_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    session = _easy_session(points=[DragPoint((4.0, 8.0), (9.0, 8.0))])
    _tracking_returns(monkeypatch, (0.0, 4.0))
    assert session.step().stop is StopReason.LOST_TRACK


def test_a_handle_may_start_or_end_at_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    starting = _easy_session(points=[DragPoint((0.0, 8.0), (9.0, 8.0))])
    ending = _easy_session(points=[DragPoint((4.0, 8.0), (0.0, 9.0))])
    _tracking_returns(monkeypatch, (0.0, 4.0))
    assert starting.step().stop is None
    assert ending.step().stop is None


def test_a_handle_that_rests_by_a_rounding_error_has_arrived() -> None:
    """2/16 px is the tolerance; what is more than that is lost in float32 on the device."""
    session = _easy_session(points=[DragPoint((8.0, 8.0), (8.125 + 1e-9, 8.0))])
    before = session.ws
    assert session.step().stop is StopReason.ARRIVED
    assert torch.equal(session.ws, before)


def test_handles_that_stay_where_they_are_make_no_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = _easy_session()
    _tracking_returns(monkeypatch, (3.75, 3.75))
    steps = list(session.run())
    assert steps[-1].stop is StopReason.NO_PROGRESS
    assert len(steps) == 50


def _rule(distances: list[float], **limits: float) -> StopRule:
    settings = {"tolerance": 1.0, "min_progress": 0.5, "max_steps": 100, "patience": 3, **limits}
    return StopRule(distances, **settings)  # type: ignore[arg-type]


def test_every_handle_must_have_arrived() -> None:
    rule = _rule([9.0, 9.0])
    assert rule.check(1, [1.0, 1.01], lost=False) is None
    assert rule.check(2, [1.0, 1.0], lost=False) is StopReason.ARRIVED


def test_slow_but_steady_progress_goes_on() -> None:
    rule = _rule([10.0])
    reasons = [rule.check(step, [10.0 - 0.2 * step], lost=False) for step in range(1, 40)]
    assert reasons == [None] * 39


def test_creeping_by_less_than_the_least_progress_stops() -> None:
    rule = _rule([10.0])
    reasons = [rule.check(step, [10.0 - 0.1 * step], lost=False) for step in range(1, 4)]
    assert reasons == [None, None, StopReason.NO_PROGRESS]


def test_a_method_that_is_spent_stops_unless_all_have_arrived() -> None:
    rule = _rule([10.0])
    assert rule.check(1, [5.0], lost=False, spent=True) is StopReason.NO_PROGRESS
    assert rule.check(2, [0.5], lost=False, spent=True) is StopReason.ARRIVED


def test_the_best_step_is_the_closest_and_never_a_lost_one() -> None:
    rule = _rule([10.0], patience=50)
    rule.check(1, [6.0], lost=False)
    rule.check(2, [7.0], lost=False)
    assert rule.best_step == 1
    assert rule.check(3, [2.0], lost=True) is StopReason.LOST_TRACK
    assert rule.best_step == 1


def test_more_than_five_points_need_two_pixels_of_512_instead_of_one() -> None:
    assert [tolerance_of(n) for n in (1, 5, 6, 68)] == [1.0, 1.0, 2.0, 2.0]


def test_a_drag_that_diverges_is_named_and_keeps_the_last_good_ws() -> None:
    session = _easy_session()
    session.step()
    good = session.ws.clone()
    assert isinstance(session._mover, DragGan)
    session._mover._adam.learning_rate = float("inf")
    with pytest.raises(DragDiverged, match="step 2: .* smaller learning_rate"):
        session.step()
    assert torch.equal(session.ws, good) and torch.equal(
        session.result[1].isfinite(), good.isfinite()
    )
    assert session.picture().isfinite().all()
    assert session.last.step == 1
    with pytest.raises(DragDiverged):
        session.step()


def test_a_mask_holds_what_it_keeps() -> None:
    generator = tiny_generator(32, seed=2)
    ws = _ws(generator)
    points = [DragPoint((8.0, 16.0), (13.0, 16.0))]
    movable = _left_half(32)

    def change_of_kept(mask: Tensor | None) -> float:
        session = DragSession(generator, ws, None, points, _paper(steps=12), mask)
        list(session.run())
        now = features_at(generator, session.ws, None, 16).features
        first = features_at(generator, ws, None, 16).features
        return float((now - first)[..., 9:].abs().mean())

    assert change_of_kept(movable) < 0.7 * change_of_kept(None)


def test_an_all_white_mask_is_no_mask() -> None:
    free = _easy_session()
    white = _easy_session(movable_mask=torch.ones(16, 16, dtype=torch.bool))
    for _ in range(3):
        assert free.step() == white.step()
    assert torch.equal(free.ws, white.ws)


@pytest.mark.parametrize("method", METHODS)
def test_handles_that_the_mask_keeps_stay_and_are_reported_as_held(method: str) -> None:
    """What they become in the generator's picture is not what a person gets."""
    movable = torch.ones(16, 16, dtype=torch.bool)
    movable[1:4, 1:4] = False
    config = DragConfig(method=method, lambda_mask=1.0)
    points = [*EASY, DragPoint((2.0, 2.0), (3.0, 2.0))]
    session = _easy_session(config, points=points, movable_mask=movable)
    assert session.last.held == (False, True)
    steps = list(session.run())
    assert steps[-1].stop is StopReason.HELD
    assert steps[-1].held == (False, True)
    assert steps[-1].distances[0] < 0.2 and steps[-1].distances[1] == 1.0
    assert all(step.handles[1] == (2.0, 2.0) for step in steps)


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_may_change_a_drag_ends_at_once(method: str) -> None:
    black = torch.zeros(16, 16, dtype=torch.bool)
    session = _easy_session(DragConfig(method=method), movable_mask=black)
    before = session.picture()
    (step,) = session.run()
    assert step.stop is StopReason.HELD and step.held == (True,)
    assert step.distances[0] == pytest.approx(1.25**0.5)
    assert torch.equal(session.picture(), before)


def test_what_comes_to_where_the_mask_keeps_the_picture_is_not_seen_there() -> None:
    movable = torch.zeros(16, 16, dtype=torch.bool)
    movable[:, :9] = True
    session = _easy_session(_paper(lambda_mask=0.0), movable_mask=movable)  # from x = 8 to 9
    steps = list(session.run())
    assert all(not any(step.held) for step in steps[:-1])
    end, _ = session.result
    assert end.stop is StopReason.HELD and end.held == (True,)
    assert end.handles == ((8.0, 8.0),)
    assert end.distances[0] == pytest.approx(1.25**0.5)


@pytest.mark.parametrize("method", METHODS)
def test_a_pin_holds_its_place(method: str) -> None:
    pin = DragPoint((2.0, 2.0), (2.0, 2.0))
    session = _easy_session(DragConfig(method=method), points=[*EASY, pin])
    last = list(session.run())[-1]
    assert last.stop is StopReason.ARRIVED
    assert max(last.distances) <= 0.13
    free = _easy_session(DragConfig(method=method))
    list(free.run())
    assert not torch.equal(free.ws, session.ws)


def test_pins_do_not_make_progress_look_small() -> None:
    reasons = []
    for pins in (0, 9):
        rule = _rule([10.0] + [0.0] * pins)
        distances = [10.0 - 0.2 * step for step in range(1, 10)]
        reasons.append(
            [rule.check(1 + i, [d] + [0.0] * pins, False) for i, d in enumerate(distances)]
        )
    assert reasons[0] == reasons[1] == [None] * 9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": []}, "points is empty"),
        ({"points": [DragPoint((8, 8), (16, 8))]}, "outside the picture of 16 x 16 pixels"),
        ({"points": [DragPoint((8, float("nan")), (9, 8))]}, "outside the picture"),
        ({"movable_mask": torch.ones(16, 16)}, "must be bool .* got torch.float32"),
        ({"movable_mask": torch.ones(8, 8, dtype=torch.bool)}, r"\[16, 16\], got .* \[8, 8\]"),
    ],
)
def test_arguments_of_the_wrong_form_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        _easy_session(**changes)  # type: ignore[arg-type]


def test_ws_of_the_wrong_shape_are_refused() -> None:
    generator = tiny_generator(16)
    with pytest.raises(ValueError, match=r"ws must be \[1, 6, 16\], got \[2, 6, 16\]"):
        DragSession(generator, torch.zeros(2, 6, 16), None, EASY)


@pytest.mark.parametrize("with_mask", [False, True])
def test_small_windows_are_left_to_one_thread(
    with_mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    movable = _left_half(16) if with_mask else None
    session = _easy_session(movable_mask=movable)
    step, seen = session._mover.step, []

    def counted() -> Moved:
        seen.append(torch.get_num_threads())
        return step()

    monkeypatch.setattr(session._mover, "step", counted)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        session.step()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert seen == [2 if with_mask else 1]


def test_every_reason_to_stop_has_its_words() -> None:
    said = [reason.words for reason in StopReason]
    assert all(words.endswith(".") for words in said)
    assert len(set(said)) == len(StopReason)


def test_more_moving_latents_than_the_network_has_are_refused() -> None:
    generator = tiny_generator(16)
    ws = torch.zeros(1, generator.num_ws, generator.w_dim)
    point = DragPoint((4.0, 4.0), (6.0, 4.0))
    more = DragConfig(num_moving_ws=generator.num_ws + 1)
    with pytest.raises(ValueError, match=f"at most {generator.num_ws}, as many latents"):
        DragSession(generator, ws, None, [point], more)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_number_that_is_left_out_is_the_methods_own(method: Method) -> None:
    generator = tiny_generator(16)
    ws = _ws(generator, 3)
    point = DragPoint((4.0, 4.0), (9.0, 4.0))
    open_config = DragConfig(method=method.name, steps=3)
    given = replace(
        open_config, patience=method.patience, r1=method.r1, learning_rate=method.learning_rate
    )
    one, other = (
        list(DragSession(generator, ws, None, [point], each).run()) for each in (open_config, given)
    )
    assert one == other
