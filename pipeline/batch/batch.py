"""A batch from its list to its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.batch.copies import Copies
from pipeline.batch.drive import Tally, drive
from pipeline.batch.engine import Engine
from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.photo_list import ForAll, read_photos
from pipeline.batch.photos import PLAN, ListInvalid, labelled
from pipeline.batch.photos import shard as share_of
from pipeline.batch.report import write_report
from pipeline.disk.storage import replace_file, writing
from pipeline.progress import Job


class BatchRunning(Exception):
    """Another process works on the same share of this output."""


def run_batch(
    source: Path,
    for_all: ForAll,
    output: Path,
    engine: Callable[[], Engine],
    *,
    shard: tuple[int, int] | None = None,
    retry_failed: bool = False,
    copy_to: str | None = None,
) -> Job[Tally]:
    """Edit the photos of a folder or a list that are not done yet, and write the report.

    The report covers what every share of the batch has done. copy_to is an address that fsspec
    knows, which gets results and report, too. Raises ListInvalid, PointsInvalid, ControlsInvalid,
    BatchRunning, StorageFailed, CopyFailed.
    """
    from filelock import FileLock, Timeout

    if output.resolve() == source.resolve():
        raise ListInvalid(f"{output} holds the photos: choose another folder for the results")
    names = _plan(output).get("names", {})
    photos = read_photos(source, for_all, names if isinstance(names, dict) else {})
    total = len(photos)
    name = "" if shard is None else f"-{shard[0]}-of-{shard[1]}"
    mine = photos if shard is None else share_of(photos, *shard)
    ledger = Ledger(output, f"log{name}.jsonl")
    ledger.prepare()
    try:
        with FileLock(output / f".lock{name}", timeout=0):
            with writing(output):
                kept = {label: photo.name for label, photo in labelled(photos, source)}
                replace_file(output / PLAN, json.dumps({"photos": total, "names": kept}).encode())
            copies = None if copy_to is None else Copies(ledger, copy_to, name)
            after = None if copies is None else copies.begin
            try:
                tally = yield from drive(
                    mine, ledger, engine, retry_failed=retry_failed, after=after
                )
            finally:
                names = {photo.name for photo in photos}
                write_report(output, (each for each in ledger.all() if each.name in names))
            if copies is not None:
                copies.copy_all()
            return tally
    except Timeout:
        raise BatchRunning(
            f"another realdrag works on {output}: wait for it, or give this one a --shard"
        ) from None


def _plan(output: Path) -> dict[str, Any]:
    """Read what a batch wrote of itself; nothing where there is none."""
    with suppress(OSError, ValueError):
        said = json.loads((output / PLAN).read_text(encoding="utf-8"))
        if isinstance(said, dict):
            return said
    return {}


def is_running(output: Path) -> bool:
    """Tell whether a process works on a batch, or on a share of it."""
    from filelock import FileLock, Timeout

    for place in output.glob(".lock*"):
        try:
            with FileLock(place, timeout=0):
                pass
        except Timeout:
            return True
    return False


def known(output: Path) -> tuple[dict[str, int], list[Record]]:
    """Count a batch's photos by what became of them. Raises ListInvalid where there is none."""
    try:
        total = int(_plan(output)["photos"])
    except (ValueError, KeyError, TypeError):
        raise ListInvalid(f"{output} is no output of realdrag batch") from None
    records = list(Ledger(output).all())
    done = sum(each.status == "done" for each in records)
    waiting = sum(each.status == "waiting" for each in records)
    failed = len(records) - done - waiting
    return {"done": done, "failed": failed, "waiting": max(total - done - failed, 0)}, records
