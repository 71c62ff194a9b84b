"""Events, and the bar or the lines that they become."""

from __future__ import annotations

import io
import json
import math

import pytest

from pipeline.commands.sinks import BarSink, JsonSink, PlainSink, clock_text
from pipeline.progress import Event, Job, Notice, StageDone, StageStarted, Step, StepClock, follow

DONE = StageDone("tune", "ab", 12.34, False, {"stop": "no_progress", "steps": 7})


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def job(closed: list[bool]) -> Job[str]:
    try:
        yield StageStarted("tune")
        yield Step("tune", 1, 2, {"l2": 0.5})
        yield Step("tune", 2, 2, {"l2": 0.25})
        yield DONE
    finally:
        closed.append(True)
    return "result"


def test_following_a_job_shows_every_event_and_returns_its_result() -> None:
    seen: list[Event] = []
    assert follow(job([]), seen.append) == "result"
    assert [event.event for event in seen] == ["started", "step", "step", "stage"]


def test_a_sink_that_fails_closes_the_job_so_that_locks_are_released() -> None:
    def broken(event: Event) -> None:
        raise BrokenPipeError

    closed: list[bool] = []
    with pytest.raises(BrokenPipeError):
        follow(job(closed), broken)
    assert closed == [True]


def test_the_time_left_follows_the_rate_of_the_last_steps() -> None:
    now = Clock()
    clock = StepClock(now, window=5)
    assert clock.seconds_left(100) is None
    for step in range(1, 11):
        now.time += 1.0 if step <= 5 else 0.5
        clock.tick(step)
    assert clock.rate == pytest.approx(2.0)
    assert clock.seconds_left(100) == pytest.approx(45.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0:01"), (7, "0:07"), (59.5, "1:00"), (750, "12:30"), (3723, "1:02:03"), (-1, "0:00")],
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_the_bar_shows_share_rate_time_left_and_values() -> None:
    now = Clock()
    bar = BarSink(io.StringIO(), now)
    bar(StageStarted("tune"))
    for step in range(1, 6):
        now.time += 0.5
        bar(Step("tune", step, 10, {"l2": 0.123456}))
    text = bar.bar(Step("tune", 5, 10, {"l2": 0.123456}))
    assert "Tuning [############------------] 5/10" in text
    assert "2.0/s, at most 0:03 left" in text
    assert "l2 0.1235" in text


def test_the_bar_is_wiped_before_a_line_and_at_the_end() -> None:
    stream = io.StringIO()
    bar = BarSink(stream, Clock())
    bar(Step("tune", 1, 10, {}))
    bar(Notice("a face"))
    assert stream.getvalue().endswith("\r\x1b[2Knote: a face\n")
    length = len(stream.getvalue())
    bar.wipe()
    assert len(stream.getvalue()) == length


def test_a_fast_loop_does_not_flood_the_terminal() -> None:
    stream = io.StringIO()
    now = Clock()
    bar = BarSink(stream, now)
    for step in range(1, 1001):
        now.time += 0.001
        bar(Step("drag", step, 2000, {}))
    assert stream.getvalue().count("\r") <= 12


def test_plain_output_has_no_bar_and_one_line_a_stage() -> None:
    stream = io.StringIO()
    follow(job([]), PlainSink(stream))
    assert stream.getvalue() == "Tuning: done in 12.3 s\n"


def test_a_stage_that_was_there_says_so() -> None:
    stream = io.StringIO()
    PlainSink(stream)(StageDone("align", "ab", 3.0, True, {}))
    assert stream.getvalue() == "Face: already there\n"


def test_every_event_is_one_json_object_a_line_with_its_name() -> None:
    stream = io.StringIO()
    sink = JsonSink(stream)
    follow(job([]), sink)
    sink(Notice("two\nlines"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["started", "step", "step", "stage", "notice"]
    assert lines[1] == {
        "event": "step",
        "stage": "tune",
        "step": 1,
        "total": 2,
        "values": {"l2": 0.5},
    }


def test_a_loss_that_is_not_finite_is_still_valid_json() -> None:
    stream = io.StringIO()
    JsonSink(stream)(Step("drag", 1, 2, {"loss": math.nan}))
    assert json.loads(stream.getvalue())["values"] == {"loss": None}


def test_printed_an_event_is_a_line_for_people() -> None:
    info = {"fidelity": {"after": {"psnr": 30.04, "perceptual": 0.1}}}
    lines = [
        str(event)
        for event in (
            StageStarted("invert"),
            Step("drag", 3, 300, {"loss": 1.0}),
            Step("download", 3, 9, {}),
            StageDone("tune", "ab", 1.26, False, info),
            Notice("a face"),
        )
    ]
    assert lines == [
        "Projection ...",
        "Dragging 3/300",
        "Download 3/9",
        "Tuning: done in 1.3 s, 30.0 dB from the photo",
        "note: a face",
    ]
