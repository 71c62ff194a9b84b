"""What a running job tells: events, one after the other.

A job is a generator of events that returns its result. It prints nothing itself; `follow` hands
its events to a sink: a bar on a terminal, plain lines, JSON lines, or a web socket. As text, an
event is a line for people.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from pipeline.stage_table import STAGES

T = TypeVar("T")


def heading(stage: str) -> str:
    """Return what people call a stage, or anything else that has steps."""
    return STAGES[stage].heading if stage in STAGES else stage.capitalize()


@dataclass(frozen=True)
class StageStarted:
    """A stage has nothing valid on disk and begins to compute."""

    stage: str
    event: ClassVar[str] = "started"

    def __str__(self) -> str:
        return f"{heading(self.stage)} ..."


@dataclass(frozen=True)
class Step:
    """One step of a stage is done. total is the most there can be; a stage may stop earlier."""

    stage: str
    step: int
    total: int
    values: Mapping[str, float]
    event: ClassVar[str] = "step"

    def __str__(self) -> str:
        return f"{heading(self.stage)} {self.step}/{self.total}"


@dataclass(frozen=True)
class StageDone:
    """A stage's artifact is on disk; reused says that it already was."""

    stage: str
    fingerprint: str
    seconds: float
    reused: bool
    info: Mapping[str, Any]
    event: ClassVar[str] = "stage"

    def __str__(self) -> str:
        how = "already there" if self.reused else f"done in {self.seconds:.1f} s"
        fidelity = self.info.get("fidelity")
        if isinstance(fidelity, Mapping) and "after" in fidelity:
            how += f", {fidelity['after']['psnr']:.1f} dB from the photo"
        return f"{heading(self.stage)}: {how}"


@dataclass(frozen=True)
class Notice:
    """Something that the user should know, and that stops nothing."""

    text: str
    event: ClassVar[str] = "notice"

    def __str__(self) -> str:
        return f"note: {self.text}"


@dataclass(frozen=True)
class EndNotice(Notice):
    """A notice of which the stage's end tells the gist: nothing new to who shows that for good."""


@dataclass(frozen=True)
class Waiting(Notice):
    """A notice that the job waits: another process has the workspace."""

    workspace: str
    holder: str


@dataclass(frozen=True)
class PointNotice(Notice):
    """A notice about a point, which may not do what is asked of it.

    point counts from 1; handle is xy in the space of the user's points. kind is "drift" for a
    handle with little texture around it (how little is its distinctness; better is a place near it
    that holds better, None when there is none), "held" for a handle and "hidden" for a target
    where a mask keeps the picture, "clamped" for a target outside the face crop.
    """

    point: int
    handle: tuple[float, float]
    kind: Literal["drift", "held", "hidden", "clamped"]
    distinctness: float | None = None
    better: tuple[float, float] | None = None


@dataclass(frozen=True)
class PhotoEnded:
    """A photo of a batch is done, or has failed; message says why. It is the number-th of total."""

    photo: str
    status: str
    seconds: float
    message: str | None
    number: int
    total: int
    event: ClassVar[str] = "photo"

    def __str__(self) -> str:
        text = f"{self.number} of {self.total}: {self.photo}: {self.status.replace('_', ' ')}"
        if self.message is None:
            text += f" in {self.seconds:.1f} s"
        else:
            text += f": {self.message.splitlines()[0]}"
        # A file's name may hold what a terminal takes for a command.
        return "".join(c if c.isprintable() else "?" for c in text)


Event = StageStarted | Step | StageDone | Notice | PhotoEnded

Job = Generator[Event, None, T]
"""A running job: yields events, returns its result."""

Sink = Callable[[Event], None]


def follow(job: Job[T], sink: Sink) -> T:
    """Run a job to its end, give every event to the sink, and return the result."""
    while True:
        try:
            event = next(job)
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            job.close()
            raise
        try:
            sink(event)
        except BaseException:
            job.close()
            raise


def to_json(event: Event) -> dict[str, Any]:
    """Return an event as plain JSON values; numbers that are not finite become null."""
    plain = {"event": event.event, **dataclasses.asdict(event)}
    if isinstance(event, Step):
        plain["values"] = {
            name: value if math.isfinite(value) else None for name, value in event.values.items()
        }
    return plain


class StepClock:
    """Rate and time left of one stage, from its last steps."""

    def __init__(self, now: Callable[[], float] = time.monotonic, window: int = 30) -> None:
        self._now = now
        self._ticks: deque[tuple[float, int]] = deque(maxlen=window)

    def tick(self, step: int) -> None:
        """Take note that a step is done."""
        self._ticks.append((self._now(), step))

    @property
    def rate(self) -> float | None:
        """Steps a second, or None before the second step."""
        if len(self._ticks) < 2:
            return None
        (first, start), (last, end) = self._ticks[0], self._ticks[-1]
        return (end - start) / (last - first) if last > first else None

    def seconds_left(self, total: int) -> float | None:
        """Return the time until step `total` at the present rate, or None when unknown."""
        rate = self.rate
        return (total - self._ticks[-1][1]) / rate if rate else None
