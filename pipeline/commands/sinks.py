"""Progress on a console: a moving bar, plain lines, or JSON lines."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from pipeline.progress import (
    Event,
    Notice,
    PhotoEnded,
    StageDone,
    StageStarted,
    Step,
    StepClock,
    heading,
    to_json,
)


def clock_text(seconds: float) -> str:
    """Write a duration as 0:07, 12:30 or 1:02:03."""
    whole = max(0, math.ceil(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    head = f"{hours}:{minutes:02d}" if hours else str(minutes)
    return f"{head}:{whole % 60:02d}"


class PlainSink:
    """One line for every stage and notice, no bar: for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write what a reader of a log wants to know."""
        if isinstance(event, Notice | StageDone | PhotoEnded):
            print(event, file=self._stream, flush=True)


class BarSink(PlainSink):
    """The same with a moving bar while a stage computes: for a terminal."""

    INTERVAL = 0.1
    WIDTH = 24

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now = now
        self._clock = StepClock(now)
        self._drawn_at = -math.inf
        self._open = False

    def __call__(self, event: Event) -> None:
        """Draw, or wipe the bar and write a line."""
        if isinstance(event, Step):
            self._clock.tick(event.step)
            if self._now() - self._drawn_at >= self.INTERVAL or event.step >= event.total:
                self._draw(self.bar(event))
        elif isinstance(event, StageStarted):
            self._clock = StepClock(self._now)
            self._draw(str(event))
        else:
            self.wipe()
            super().__call__(event)

    def bar(self, step: Step) -> str:
        """Return the bar's text for a step."""
        filled = self.WIDTH * step.step // max(step.total, 1)
        parts = [f"{heading(step.stage)} [{'#' * filled:-<{self.WIDTH}}] {step.step}/{step.total}"]
        left = self._clock.seconds_left(step.total)
        if left is not None:
            parts.append(f"{self._clock.rate:.1f}/s, at most {clock_text(left)} left")
        parts += [f"{name} {value:.4g}" for name, value in step.values.items()]
        return "  ".join(parts)

    def wipe(self) -> None:
        """Take the bar off the terminal."""
        if self._open:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
            self._open = False

    def _draw(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns
        self._stream.write(f"\r\x1b[2K{text[: max(columns - 1, 10)]}")
        self._stream.flush()
        self._open = True
        self._drawn_at = self._now()


class JsonSink:
    """One JSON object a line for machines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event as a line."""
        self.write(to_json(event))

    def write(self, plain: Mapping[str, Any]) -> None:
        """Write any JSON object as a line."""
        print(json.dumps(plain, allow_nan=False), file=self._stream, flush=True)
