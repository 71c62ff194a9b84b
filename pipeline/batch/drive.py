"""The driver: gives photos to workers, keeps what became of them, and never stops for one."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.batch.engine import Engine, Outcome
from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.photos import BatchPhoto
from pipeline.disk.storage import StorageFailed
from pipeline.failures import BUG, MACHINE
from pipeline.progress import Event, Job, Notice, PhotoEnded, Step

MOST_KILLED = 2
"""After so many workers that died with a photo, no other one gets it."""

TICK = 0.5
"""Seconds after which the driver looks up even when nothing has ended."""


@dataclass(frozen=True)
class Tally:
    """How a batch ended: photos by status, and those that were done before."""

    done: int
    failed: int
    before: int
    seconds: float


def drive(
    photos: Sequence[BatchPhoto],
    ledger: Ledger,
    start: Callable[[], Engine],
    *,
    retry_failed: bool = False,
    after: Callable[[Record], Iterable[Event]] | None = None,
) -> Job[Tally]:
    """Edit what is not done yet; start starts the workers, if there is anything to do.

    after is told of each photo that has ended, and may have something to say. A photo that failed
    stays so until `retry_failed`, or until it or its edit is another. Raises StorageFailed when the
    disk takes no more.
    """
    records = {photo.name: ledger.of(photo) for photo in photos}
    if retry_failed:
        for name, record in records.items():
            if record.status not in ("done", "waiting"):
                records[name] = replace(record, status="waiting", killed=0)
    waiting = deque(photo for photo in photos if records[photo.name].status == "waiting")
    before = len(photos) - len(waiting)
    began, running = time.monotonic(), 0
    ledger.log("started", photos=len(photos), before=before)
    if before:
        yield Notice(f"{before} of {len(photos)} photos are done already, or known to fail")
    engine = start() if waiting else None
    try:
        while engine is not None and (waiting or running):
            while waiting and engine.free:
                photo = waiting.popleft()
                ledger.log("photo", photo=photo.name)
                ledger.withdraw(photo)
                engine.submit(photo)
                running += 1
            for outcome in engine.wait(TICK):
                running -= 1
                record = _record(records[outcome.photo.name], outcome)
                records[outcome.photo.name] = record
                ledger.save(record)
                if record.kind == "StorageFailed":
                    raise StorageFailed(record.message)
                if record.status == "waiting":
                    ledger.log("worker_lost", photo=record.name)
                    waiting.append(outcome.photo)  # behind the others: it may kill the next, too
                    continue
                said = {"status": record.status, "kind": record.kind, "made": record.made}
                ledger.log("ended", photo=record.name, **said)
                ended = len(photos) - before - len(waiting) - running
                yield PhotoEnded(
                    record.name,
                    record.status,
                    record.seconds or 0.0,
                    record.message,
                    before + ended,
                    len(photos),
                )
                yield _progress(began, before + ended, ended, len(photos))
                if after is not None:
                    yield from after(record)
    finally:
        if engine is not None:
            engine.close()
    counted = Counter(record.status for record in records.values())
    tally = Tally(counted["done"], len(photos) - counted["done"], before, time.monotonic() - began)
    ledger.log("finished", done=tally.done, failed=tally.failed)
    return tally


def _progress(began: float, at: int, ended: int, total: int) -> Step:
    hours = max(time.monotonic() - began, 1e-3) / 3600
    return Step("photos", at, total, {"an hour": round(ended / hours)})


def _record(known: Record, outcome: Outcome) -> Record:
    """Work out what has become of a photo."""
    # What an earlier try came to is forgotten, but for the workers that died.
    fresh = Record(known.name, known.photo, known.request, killed=known.killed)
    known = replace(fresh, ended=round(time.time(), 3))
    if outcome.timed_out:
        return replace(
            known,
            status="timed_out",
            exit_code=MACHINE,
            kind="TimedOut",
            message="it took longer than --timeout allows: allow more, or look what is odd with it",
        )
    if outcome.answer is None:
        killed = known.killed + 1
        if killed < MOST_KILLED:
            return replace(known, status="waiting", killed=killed)
        return replace(
            known,
            status="quarantined",
            killed=killed,
            exit_code=BUG,
            kind="WorkerLost",
            message=f"{killed} workers died while they had it, perhaps for lack of memory: try it "
            "alone with realdrag edit, then --retry-failed",
        )
    answer = {name: value for name, value in outcome.answer.items() if name != "stop"}
    if answer.get("kind") == "StorageFailed":  # nothing is wrong with the photo
        answer["status"] = "waiting"
    return replace(known, **answer)
