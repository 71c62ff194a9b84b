"""The one thread that owns the networks: it moves jobs on, always the one whose turn it is.

A job is a generator that gives an event after every step, so it can be set aside between two steps
for one that somebody waits for, and taken up again.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from pipeline.failures import BUG, failure_of, to_json
from pipeline.machine.bench import Bench
from pipeline.progress import Event
from pipeline.studio.tickets import Kind, Progress, Ticket


class StudioBusy(Exception):
    """The studio is working on this very photo."""


class Worker:
    """Runs jobs in a thread of its own, by turns; a job that fails leaves it alive.

    tell gets every event of a job; ended gets the ticket when it is over, with the error as JSON
    or None; queued is called whenever another ticket waits or runs. All of them are called in the
    worker's thread.
    """

    def __init__(
        self,
        bench: Bench,
        tell: Callable[[Ticket, Event], None],
        ended: Callable[[Ticket, dict[str, Any] | None], None],
        queued: Callable[[], None],
    ) -> None:
        self.bench = bench
        self._tell = tell
        self._ended = ended
        self._queued = queued
        self._changed = threading.Condition()
        self._tickets: list[Ticket] = []
        self._running: Ticket | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="studio-worker", daemon=True)
        self._thread.start()

    # ---------------------------------------------------------------------- from anywhere

    @property
    def running(self) -> Ticket | None:
        """The job that is being moved on right now."""
        return self._running

    def tickets(self, workspace: str | None = None) -> list[Ticket]:
        """List what is not over yet, of one workspace or of all, whose turn is first first."""
        with self._changed:
            mine = [each for each in self._tickets if workspace in (None, each.workspace)]
        return sorted(mine, key=lambda ticket: ticket.turn)

    def ticket_of(self, workspace: str, *kinds: Kind) -> Ticket | None:
        """Return a workspace's ticket (of these kinds only), whose turn is first."""
        mine = self.tickets(workspace)
        return next((each for each in mine if not kinds or each.kind in kinds), None)

    def ahead_of(self, ticket: Ticket) -> list[Ticket]:
        """List the tickets that are done, or moved on, before this one can go on."""
        return [
            each
            for each in self.tickets()
            if each is not ticket
            and (each.turn < ticket.turn or self._blocks(each, ticket) or each is ticket.after)
            and self._may_run(each)
        ]

    def start(self, workspace: str, kind: Kind, job: Callable[[], Progress]) -> Ticket:
        """Put a job into the queue; a drag may be asked for while its photo is being prepared.

        Raises StudioBusy when its workspace has one of that kind, or one that does not go with it.
        """
        after = None
        with self._changed:
            for each in self._tickets:
                if each.workspace != workspace:
                    continue
                if kind is Kind.DRAG and each.kind is Kind.PREPARE:
                    after = each
                elif each.kind is kind or (each.changes_files and kind is not Kind.FIND):
                    raise StudioBusy(BUSY_WITH[each.kind])
            ticket = Ticket(workspace, kind, job, after)
            self._tickets.append(ticket)
            self._changed.notify_all()
        return ticket

    def pause(self, ticket: Ticket) -> None:
        """Leave a job as it is after its present step; others go on."""
        with self._changed:
            ticket.paused = True
            ticket.set_aside()

    def resume(self, ticket: Ticket) -> None:
        """Go on after a pause."""
        with self._changed:
            ticket.paused = False
            self._changed.notify_all()

    def stop(self, ticket: Ticket) -> None:
        """End a job: a drag keeps its last step, anything else is given up."""
        with self._changed:
            if ticket.kind is Kind.DRAG and ticket.stage == "drag":
                ticket.stopping = True
                if ticket is self._running:
                    self.bench.stop.set()
            else:
                ticket.cancelled = True
            ticket.paused = False
            self._changed.notify_all()

    def cancel(self, ticket: Ticket) -> None:
        """Give a job up, whatever it is."""
        with self._changed:
            ticket.cancelled, ticket.paused = True, False
            self._changed.notify_all()

    def wait_until_over(self, workspace: str, seconds: float) -> bool:
        """Wait until nothing goes on in a workspace; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(each.workspace != workspace for each in self._tickets), seconds
            )

    def close(self, timeout: float = 10.0) -> None:
        """End what runs (a drag keeps its last step), and the thread."""
        for ticket in self.tickets():
            self.stop(ticket)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)

    # ---------------------------------------------------------------- in the worker's thread

    def _run(self) -> None:
        while (ticket := self._take_turn()) is not None:
            over, error = self._step(ticket)
            if over:
                with self._changed:
                    for each in self._tickets:
                        if each.after is ticket and (error is not None or ticket.cancelled):
                            each.cancelled = True
                    self._tickets.remove(ticket)
                    self._running = None
                    self._changed.notify_all()
                self._ended(ticket, error)

    def _take_turn(self) -> Ticket | None:
        """Wait for the ticket whose turn it is; None when the studio closes."""
        with self._changed:
            while (ticket := self._next()) is None:
                if self._closing:
                    return None
                self._running = None
                self._changed.wait()
            before, self._running = self._running, ticket
            if ticket is before:
                return ticket
            if before is not None:
                before.set_aside()
            if ticket.stopping:
                self.bench.stop.set()
            else:
                self.bench.stop.clear()
        self._queued()
        return ticket

    def _next(self) -> Ticket | None:
        ready = [each for each in self._tickets if self._may_run(each)]
        return min(ready, key=lambda each: (not each.cancelled, each.turn), default=None)

    def _may_run(self, ticket: Ticket) -> bool:
        if ticket.cancelled:
            return True
        held_up = ticket.paused or ticket.after in self._tickets
        return not held_up and not any(self._blocks(each, ticket) for each in self._tickets)

    @staticmethod
    def _blocks(one: Ticket, other: Ticket) -> bool:
        """Tell whether a job holds the lock that another one is going to need."""
        same = one is not other and one.workspace == other.workspace
        locks = one.changes_files and other.changes_files
        return same and locks and one.started and not other.started

    def _step(self, ticket: Ticket) -> tuple[bool, dict[str, Any] | None]:
        """Move a job on by one event; tell whether it is over, and how it failed if it did."""
        try:
            if ticket.cancelled:
                ticket.give_up()
                return True, None
            event = ticket.proceed()
            if event is None:
                return True, None
            self._tell(ticket, event)
        except Exception as error:
            ticket.give_up()
            if failure_of(error).exit_code == BUG:
                traceback.print_exception(error)
            return True, to_json(error)
        return False, None


BUSY_WITH = {
    Kind.FIND: "faces are being looked for already",
    Kind.DRAG: "this photo is being dragged: stop that first, or wait",
    Kind.FILM: "a film of this photo is being made: stop that first, or wait",
    Kind.PREPARE: "this photo is being prepared: cancel that first, or wait",
}
"""Why another job of a photo is refused."""
