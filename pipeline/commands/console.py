"""A job on a console: progress out, Ctrl-C in, and failures as messages with an exit code."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

import click

from pipeline.commands.sinks import BarSink, JsonSink, PlainSink
from pipeline.failures import BAD_INPUT, BUG, REPORT, failure_of, message_of, to_json
from pipeline.machine.bench import Bench
from pipeline.progress import Event, Job, StageDone, Step, follow

T = TypeVar("T")


class Console:
    """Where a command tells what it does: JSON lines on stdout, or words on stderr.

    What a command is asked for (paths, tables) goes to stdout in both cases.
    """

    def __init__(self, as_json: bool, device: str = "auto") -> None:
        self.as_json = as_json
        self._lines = JsonSink(sys.stdout)
        self._bar = BarSink(sys.stderr) if sys.stderr.isatty() else PlainSink(sys.stderr)
        self._dragging = False
        self.bench = Bench(device, self.tell)

    def tell(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Step | StageDone):
            self._dragging = isinstance(event, Step) and event.stage == "drag"
        sink = self._lines if self.as_json else self._bar
        sink(event)

    def run(self, job: Job[T]) -> T:
        """Run a job to its end; Ctrl-C ends a drag with its last step, other stages at once."""
        try:
            with self._listening():
                return follow(job, self.tell)
        finally:
            if isinstance(self._bar, BarSink):
                self._bar.wipe()

    def done(self, plain: Mapping[str, Any], *lines: str) -> None:
        """End a command: a JSON object for machines, lines on stdout for people."""
        if self.as_json:
            self._lines.write({"event": "done", **plain})
        else:
            for line in lines:
                click.echo(line)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._dragging and not self.bench.stop.is_set():
            self.bench.stop.set()
        else:
            raise KeyboardInterrupt


def report(error: BaseException, as_json: bool) -> int:
    """Tell about a failure and return the exit code. A bug keeps its traceback."""
    if isinstance(error, click.ClickException):
        code = BAD_INPUT
        if as_json:
            kind = type(error).__name__
            plain = {"event": "error", "kind": kind, "message": error.format_message()}
            JsonSink(sys.stdout).write({**plain, "exit_code": code, "http_status": 422})
        else:
            error.show()
        return code
    failure = failure_of(error)
    if failure.exit_code == BUG:
        traceback.print_exception(error)
        click.echo(REPORT, err=True)
    elif not as_json:
        click.echo(f"realdrag: {message_of(error)}", err=True)
    if as_json:
        JsonSink(sys.stdout).write(to_json(error))
    return failure.exit_code
