"""What pages have asked for: a ticket each, with its turn, how far it is, and what it has shown."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pipeline.progress import Event, StageStarted, Step, StepClock

Progress = Generator[Event, None, Any]

_numbers = itertools.count(1)


class Kind(str, Enum):
    """What a ticket is for."""

    FIND = "find"
    DRAG = "drag"
    FILM = "film"
    PREPARE = "prepare"


RANK: Mapping[Kind, int] = {Kind.FIND: 0, Kind.DRAG: 1, Kind.FILM: 1, Kind.PREPARE: 2}
"""Whose turn comes first: whoever waits in front of the page goes before what takes minutes."""


@dataclass
class Shown:
    """What a running job has shown: its last picture, as the pages got it, and handles' tracks."""

    frame: bytes = b""
    drawn_at: float = 0.0
    count: int = 0
    tracks: list[list[list[float]]] = field(default_factory=list)


class Ticket:
    """A job of one workspace: waiting, running, set aside for another, or paused.

    Its job is a generator and is only moved on by the worker's thread; the rest may be asked and
    steered from anywhere.
    """

    def __init__(
        self, workspace: str, kind: Kind, job: Callable[[], Progress], after: Ticket | None = None
    ) -> None:
        self.number = next(_numbers)
        self.workspace = workspace
        self.kind = kind
        self.after = after
        """What has to come to its end before this can begin; without that it is given up."""
        self.stage: str | None = None
        self.step = 0
        self.total = 0
        self.distance: float | None = None
        self.seconds_left: float | None = None
        self.paused = False
        self.stopping = False
        """A drag shall end with its last step as its result."""
        self.cancelled = False
        """It shall be given up."""
        self.has_news = False
        """A stage is done: its workspace shows it as soon as the job has gone on."""
        self.shown = Shown()
        self.shown_lock = threading.Lock()
        self._job = job
        self._progress: Progress | None = None
        self._clock = StepClock()

    @property
    def turn(self) -> tuple[int, int]:
        """Order of tickets: by what they are for, then as they were asked for."""
        return RANK[self.kind], self.number

    @property
    def started(self) -> bool:
        """Whether any of it has been done."""
        return self._progress is not None

    @property
    def ending(self) -> bool:
        """Whether it has been asked to end."""
        return self.stopping or self.cancelled

    @property
    def changes_files(self) -> bool:
        """Whether it holds its workspace's lock, so that no other such job can run there."""
        return self.kind is not Kind.FIND

    def proceed(self) -> Event | None:
        """Do the next part of the job; None when it is done."""
        if self._progress is None:
            self._progress = self._job()
        try:
            event = next(self._progress)
        except StopIteration:
            return None
        self.take(event)
        return event

    def give_up(self) -> None:
        """Let go of what the job holds."""
        if self._progress is not None:
            self._progress.close()

    def set_aside(self) -> None:
        """Forget how fast it was: another job or a pause comes in between."""
        self._clock = StepClock()

    def take(self, event: Event) -> None:
        """Take note of progress."""
        if isinstance(event, Step):
            if event.stage != self.stage:
                self.stage, self._clock = event.stage, StepClock()
            self._clock.tick(event.step)
            self.step, self.total = event.step, event.total
            self.distance = event.values.get("distance") if event.stage == "drag" else None
            self.seconds_left = self._clock.seconds_left(event.total)
        elif isinstance(event, StageStarted):
            self.stage, self.step, self.total, self.seconds_left = event.stage, 0, 0, None
            self._clock = StepClock()

    def to_json(self) -> dict[str, Any]:
        """Describe the job for the page."""
        return {
            "number": self.number,
            "kind": self.kind.value,
            "stage": self.stage,
            "step": self.step,
            "total": self.total,
            "distance": self.distance,
            "seconds_left": self.seconds_left,
            "started": self.started,
            "paused": self.paused,
            "ending": self.ending,
        }
