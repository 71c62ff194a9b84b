"""The one thread that owns the networks and runs jobs, one at a time."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Generator
from typing import Any

from pipeline.failures import BUG, failure_of, to_json
from pipeline.machine.bench import Bench
from pipeline.progress import Event, StageStarted, Step, StepClock

Progress = Generator[Event, None, Any]


class StudioBusy(Exception):
    """The studio is working on something else."""


class Task:
    """A job that a page asked for, and how far it is."""

    def __init__(self, workspace: str, kind: str) -> None:
        self.workspace = workspace
        self.kind = kind
        self.stage: str | None = None
        self.step = 0
        self.total = 0
        self.seconds_left: float | None = None
        self.paused = False
        self.ending = False
        self.cancelled = False
        self._go = threading.Event()
        self._go.set()
        self._clock = StepClock()

    def pause(self) -> None:
        """Wait before the next step."""
        self.paused = True
        self._go.clear()

    def proceed(self) -> None:
        """Go on after a pause."""
        self.paused = False
        self._clock = StepClock()
        self._go.set()

    def cancel(self) -> None:
        """Give the job up before its next step."""
        self.cancelled = True
        self.ending = True
        self.proceed()

    def wait(self) -> None:
        """Block while paused."""
        self._go.wait()

    def take(self, event: Event) -> None:
        """Take note of progress."""
        if isinstance(event, Step):
            if event.stage != self.stage:
                self.stage, self._clock = event.stage, StepClock()
            self._clock.tick(event.step)
            self.step, self.total = event.step, event.total
            self.seconds_left = self._clock.seconds_left(event.total)
        elif isinstance(event, StageStarted):
            self.stage, self.step, self.total, self.seconds_left = event.stage, 0, 0, None
            self._clock = StepClock()

    def to_json(self) -> dict[str, Any]:
        """Describe the job for the page."""
        return {
            "workspace": self.workspace,
            "kind": self.kind,
            "stage": self.stage,
            "step": self.step,
            "total": self.total,
            "seconds_left": self.seconds_left,
            "paused": self.paused,
            "ending": self.ending,
        }


class Worker:
    """Runs one job at a time in a thread of its own; a job that fails leaves it alive.

    tell gets every event of the running job; ended gets the job when it is over, with the error
    as JSON or None. Both are called in the worker's thread.
    """

    def __init__(
        self,
        bench: Bench,
        tell: Callable[[Task, Event], None],
        ended: Callable[[Task, dict[str, Any] | None], None],
    ) -> None:
        self.bench = bench
        self._tell = tell
        self._ended = ended
        self._lock = threading.Condition()
        self._next: tuple[Task, Callable[[], Progress]] | None = None
        self._task: Task | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="studio-worker", daemon=True)
        self._thread.start()

    @property
    def task(self) -> Task | None:
        """The job that runs now."""
        return self._task

    def task_of(self, workspace: str) -> Task | None:
        """The job that runs now, if it is this workspace's."""
        task = self._task
        return task if task is not None and task.workspace == workspace else None

    def start(self, workspace: str, kind: str, job: Callable[[], Progress]) -> Task:
        """Begin a job. Raises StudioBusy."""
        with self._lock:
            if self._task is not None:
                raise StudioBusy(
                    f"the studio is busy with {self._task.workspace}: stop that first, or wait"
                )
            task = self._task = Task(workspace, kind)
            self.bench.stop.clear()
            self._next = (task, job)
            self._lock.notify_all()
        return task

    def stop(self, task: Task) -> None:
        """End a job: a drag keeps its last step, anything else is given up."""
        task.ending = True
        if task.kind == "drag" and task.stage == "drag":
            self.bench.stop.set()
            task.proceed()
        else:
            task.cancel()

    def close(self, timeout: float = 10.0) -> None:
        """End what runs (a drag keeps its last step), and the thread."""
        with self._lock:
            self._closing = True
            if self._task is not None:
                self.stop(self._task)
            self._lock.notify_all()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._lock:
                while self._next is None and not self._closing:
                    self._lock.wait()
                if self._next is None:
                    return
                task, job = self._next
                self._next = None
            error = self._work(task, job)
            with self._lock:
                self._task = None
            self._ended(task, error)

    def _work(self, task: Task, job: Callable[[], Progress]) -> dict[str, Any] | None:
        try:
            running = job()
            try:
                for event in running:
                    task.take(event)
                    self._tell(task, event)
                    task.wait()
                    if task.cancelled:
                        return None
            finally:
                running.close()
        except Exception as error:
            if failure_of(error).exit_code == BUG:
                traceback.print_exception(error)
            return to_json(error)
        return None
