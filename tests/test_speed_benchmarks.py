"""The pure parts of the speed benchmarks, and the literal reference; how fast is not tested."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.floor import block_flops, module_flops, synthesis_flops, windows_flops
from benchmarks.gpu import drag_cases, loss_cases, run
from benchmarks.literal import LiteralDrag, LiteralProjection, LiteralTuning, synthesis
from benchmarks.networks import random_ws
from benchmarks.section import Options, SectionSkipped
from benchmarks.speed_drag import spread_points
from benchmarks.speed_inversion import best_so_far, seconds_until
from benchmarks.speed_rows import HEADER, Row, cells
from benchmarks.studio_speed import studio_table
from benchmarks.timing import (
    Effort,
    MeasurementFailed,
    Spread,
    measure_apart,
    measure_command,
    quartiles,
    repeat,
    seconds_text,
)
from drag.points import DragPoint
from inversion.perceptual import OfflineDistance
from stylegan2.embedded import EMBEDDED
from stylegan2.generator import GeneratorConfig, standard_channels
from tests.factories import tiny_generator

TINY = GeneratorConfig(16, 8, 8, 2, (6, 4, 2))


def test_quartiles_are_numpys() -> None:
    values = [0.3, 1.0, 0.1, 7.0, 2.5, 0.2]
    found = quartiles(values)
    np.testing.assert_allclose(
        (found.low, found.median, found.high), np.quantile(values, (0.25, 0.5, 0.75))
    )
    assert found.n == 6
    assert quartiles([2.0]) == Spread(2.0, 2.0, 2.0, 1)
    assert math.isnan(quartiles([]).median)


def test_seconds_are_shown_with_three_digits_in_a_unit_that_needs_no_zeros() -> None:
    assert seconds_text(12.345) == "12.3 s"
    assert seconds_text(1.2345) == "1.23 s"
    assert seconds_text(0.012345) == "12.3 ms"
    assert seconds_text(0.12345) == "123 ms"
    assert str(Spread(0.5, 0.4, 0.625, 9)) == "500 ms [400, 625]"
    assert str(Spread(5.0, 4.0, 6.0, 2)) == "5.00 s (n = 2)"
    assert str(quartiles([])) == "-"


def test_the_first_call_does_not_count_and_what_runs_before_is_off_the_clock() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("before")
        time.sleep(0.02)

    seconds = repeat(lambda: calls.append("step"), Effort(0.0, 2, 9), "cpu", before=slow)
    assert calls == ["before", "step"] * 3
    assert len(seconds) == 2
    assert max(seconds) < 0.02


def test_a_slow_first_call_counts_unless_it_prepares_something() -> None:
    effort = Effort(0.0, 1, 5, slow=0.01)
    assert len(repeat(lambda: time.sleep(0.02), effort, "cpu")) == 1
    calls: list[int] = []

    def prepares() -> None:
        time.sleep(0 if calls else 0.02)
        calls.append(0)

    (second,) = repeat(prepares, effort, "cpu", first_prepares=True)
    assert len(calls) == 2
    assert second < 0.02


def test_repeating_stops_at_the_most_and_keeps_cycles_whole() -> None:
    assert len(repeat(lambda: None, Effort(60.0, 1, 5), "cpu")) == 5
    assert len(repeat(lambda: None, Effort(0.0, 1, 5), "cpu", unit=4)) == 4


def test_a_row_holds_its_time_against_literal_goal_and_floor() -> None:
    row = Row("a step", "realdrag", [0.4, 0.5, 0.6], 812.4, [5.0], 0.25, 0.1)
    (shown,) = cells([row])
    assert dict(zip(HEADER, shown, strict=True)) == {
        "what": "a step",
        "who": "realdrag",
        "time": "500 ms [450, 550]",
        "peak MB": "812",
        "times faster": "10.0",
        "goal": "250 ms: 2.0 times it",
        "floor": "100 ms",
        "time / floor": "5.0",
    }
    (reached,) = cells([Row("a step", "realdrag", [0.2], 812.4, goal=0.25)])
    assert reached[4:] == ("-", "250 ms: reached", "-", "-")


def test_a_process_of_its_own_answers_with_its_memory() -> None:
    effort = Effort(0.0, 2, 2)
    found = measure_apart("benchmarks.timing", "measure_convolution", device="cpu", effort=effort)
    assert len(found["seconds"]) == 2
    assert found["flops"] > 0
    assert found["peak_mb"] > 50


def test_a_process_that_fails_says_what_it_was_asked_and_why() -> None:
    with pytest.raises(MeasurementFailed, match="(?s)nothing_of_it.*has no attribute"):
        measure_apart("benchmarks.timing", "nothing_of_it", device="cpu")


def test_a_commands_memory_is_its_own(tmp_path: Path) -> None:
    ours = bytearray(300_000_000)
    small, large = (
        measure_command([sys.executable, "-c", f"bytearray({n})"], tmp_path, os.environ)[1]
        for n in (10, 100_000_000)
    )
    assert small < 50 < 100 < large < len(ours) / 1e6
    with pytest.raises(MeasurementFailed, match="ended with 3"):
        measure_command([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, os.environ)


def test_many_points_differ_and_lie_inside_with_their_targets() -> None:
    for count in (1, 2, 5, 68):
        points = spread_points(128, count)
        assert len({point.handle for point in points}) == count
        for x, y in (xy for point in points for xy in (point.handle, point.target)):
            assert 0 <= x < 128 and 0 <= y < 128


def test_a_way_is_followed_until_it_is_near_enough() -> None:
    way = [[1.0, 0.9], [2.0, 0.4], [3.0, 0.5]]
    assert best_so_far(way) == [(1.0, 0.9), (2.0, 0.4), (3.0, 0.4)]
    assert seconds_until(way, 0.45) == 2.0
    assert seconds_until(way, 0.1) is None


def test_the_arithmetic_of_a_small_network_is_what_a_hand_counts() -> None:
    b4 = 2 * 9 * 6 * 6 * 16
    b8 = 2 * 9 * (6 * 4 * 16 + 4 * 4 * 64)
    b16 = 2 * 9 * (4 * 2 * 64 + 2 * 2 * 256)
    torgb = 2 * 3 * (6 * 16 + 4 * 64 + 2 * 256)
    assert [block_flops(TINY, size) for size in (4, 8, 16)] == [b4, b8, b16]
    assert synthesis_flops(TINY, with_image=False) == b4 + b8 + b16
    assert synthesis_flops(TINY) == b4 + b8 + b16 + torgb
    assert synthesis_flops(TINY, 8, with_image=False) == b4 + b8


def test_a_drag_at_config_f_needs_what_was_counted_before() -> None:
    config = GeneratorConfig(1024, 512, 512, 8, standard_channels(1024))
    assert 2 * synthesis_flops(config, 128, with_image=False) == pytest.approx(122e9, rel=0.01)


def test_windows_count_the_pixels_that_grow_around_them_and_no_block_more_than_whole() -> None:
    # Two pixels square at 16: four square after its upsampling convolution, from three at 8;
    # five square after that block's; the 4x4 block is needed whole.
    b16 = 2 * 9 * (2 * 2 * 4 + 4 * 2 * 16 // 4)
    b8 = 2 * 9 * (4 * 4 * 9 + 6 * 4 * 25 // 4)
    b4 = block_flops(TINY, 4, outputs=round(3.5**2))
    assert windows_flops(TINY, 16, [2]) == b16 + b8 + b4
    assert windows_flops(TINY, 16, [100]) == synthesis_flops(TINY, with_image=False)


def test_a_modules_arithmetic_is_counted_by_watching_it() -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    assert module_flops(convolution, torch.zeros(1, 3, 8, 8)) == 2 * 9 * 3 * 5 * 64


# --------------------------------------------------------------------------- the literal reference


def test_the_literal_synthesis_is_the_generators() -> None:
    generator = tiny_generator(32)
    ws = torch.randn(2, generator.num_ws, 16, generator=torch.Generator().manual_seed(3))
    picture, features = synthesis(generator, ws, generator.synthesis.noise_consts())
    outputs = list(generator.synthesis.run(ws))
    assert outputs[-1].image is not None
    torch.testing.assert_close(picture, outputs[-1].image, rtol=1e-4, atol=1e-4)
    for output in outputs:
        torch.testing.assert_close(
            features[output.resolution], output.features, rtol=1e-4, atol=1e-4
        )


def test_the_literal_drag_pulls_a_handle_to_its_target() -> None:
    generator = tiny_generator(64)
    point = DragPoint((30.0, 30.0), (34.0, 30.0))
    drag = LiteralDrag(generator, random_ws(generator, 1), [point], learning_rate=0.02)
    for _ in range(40):
        drag.step()
        if drag.arrived:
            break
    assert drag.picture.shape == (1, 3, 64, 64)
    assert drag.arrived, drag.handles


def test_the_literal_mask_keeps_more_of_what_it_protects() -> None:
    generator = tiny_generator(64)
    ws = random_ws(generator, 1)
    points = [DragPoint((30.0, 30.0), (40.0, 30.0))]
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[20:44, 20:44] = True
    changes = []
    for movable_mask in (None, mask):
        drag = LiteralDrag(generator, ws, points, movable_mask, learning_rate=0.02)
        drag.step()
        first = drag.picture.detach()
        for _ in range(5):
            drag.step()
        changes.append(float((drag.picture.detach() - first)[..., ~mask].abs().mean()))
    assert changes[1] < changes[0]


def test_the_literal_projection_and_tuning_come_nearer_to_their_target() -> None:
    generator = tiny_generator(32)
    target = generator(torch.randn(1, 16, generator=torch.Generator().manual_seed(5))).clamp(-1, 1)
    rng = torch.Generator().manual_seed(6)
    start = random_ws(generator, 7)
    projection = LiteralProjection(
        generator, target, OfflineDistance(), start[:, 0], 1.0, rng, steps=60
    )
    distances = [projection.step() for _ in range(60)]
    assert distances[-1] < distances[0]
    for locality in (False, True):
        tuning = LiteralTuning(
            generator, target, OfflineDistance(), start, rng, locality=locality, learning_rate=3e-3
        )
        losses = [tuning.step() for _ in range(15)]
        assert losses[-1] < losses[0]
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_every_kind_of_step_of_the_gpu_table_runs_and_all_have_a_floor() -> None:
    small = "config-f-16"
    cases = [*drag_cases("cpu", 1, small, small), *loss_cases("cpu", 1, small, "offline")]
    assert min(case.flops for case in cases) > 0
    for case in (cases[0], cases[3], *cases[6:8]):
        assert min(case.measure(Effort(0.0, 1, 1))["seconds"]) > 0, case.what
    assert len({(case.what, case.who) for case in cases}) == len(cases) == 10


def test_the_gpu_table_is_skipped_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = Options(True, 1, EMBEDDED, None, "cpu", tmp_path, tmp_path, print)
    with pytest.raises(SectionSkipped, match="no GPU"):
        run(options)


def test_the_studios_table_has_the_old_figures_and_leaves_out_what_was_not_measured() -> None:
    found = {"click_to_first_frame_s": [0.4, 0.5, 0.6], "film_frames_per_second": [11.0, 13.0]}
    first, films = studio_table(found).rows
    assert first[1:] == ("500 ms [450, 550]", "460 to 620 ms", "-")
    assert films[1:] == ("12.0", "-", "at least 10")
