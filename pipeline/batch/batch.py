"""A batch from its list to its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pipeline.batch.drive import Tally, drive
from pipeline.batch.engine import Engine
from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.photos import ForAll, ListInvalid, read_photos
from pipeline.batch.photos import shard as share_of
from pipeline.batch.report import write_report
from pipeline.disk.storage import replace_file, writing
from pipeline.progress import Job

PLAN = "batch.json"
"""How many photos a batch has, for `status` while it runs."""


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
) -> Job[Tally]:
    """Edit the photos of a folder or a list that are not done yet, and write the report.

    The report covers what every share of the batch has done. Raises ListInvalid, PointsInvalid,
    ControlsInvalid, BatchRunning, StorageFailed.
    """
    from filelock import FileLock, Timeout

    photos = read_photos(source, for_all)
    total = len(photos)
    name = "" if shard is None else f"-{shard[0]}-of-{shard[1]}"
    mine = photos if shard is None else share_of(photos, *shard)
    ledger = Ledger(output, f"log{name}.jsonl")
    ledger.prepare()
    try:
        with FileLock(output / f".lock{name}", timeout=0):
            with writing(output):
                replace_file(output / PLAN, json.dumps({"photos": total}).encode())
            try:
                return (yield from drive(mine, ledger, engine, retry_failed=retry_failed))
            finally:
                names = {photo.name for photo in photos}
                write_report(output, (each for each in ledger.all() if each.name in names))
    except Timeout:
        raise BatchRunning(
            f"another realdrag works on {output}: wait for it, or give this one a --shard"
        ) from None


def known(output: Path) -> tuple[dict[str, int], list[Record]]:
    """Count a batch's photos by what became of them. Raises ListInvalid where there is none."""
    try:
        total = int(json.loads((output / PLAN).read_text(encoding="utf-8"))["photos"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ListInvalid(f"{output} is no output of realdrag batch") from None
    records = list(Ledger(output).all())
    done = sum(each.status == "done" for each in records)
    waiting = sum(each.status == "waiting" for each in records)
    failed = len(records) - done - waiting
    return {"done": done, "failed": failed, "waiting": max(total - done - failed, 0)}, records
