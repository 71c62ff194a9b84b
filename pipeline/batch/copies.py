"""Copies of a batch's results somewhere else: a bucket, or whatever else fsspec reaches."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.photos import ListInvalid
from pipeline.batch.report import PAGE, TABLE
from pipeline.disk.storage import read_sealed, write_sealed, writing
from pipeline.progress import Job, Notice, PhotoEnded

T = TypeVar("T")


class CopyFailed(Exception):
    """Results could not be copied; they are all in the output folder."""


class Copies:
    """Which results of a batch lie at an address, and in which version.

    Result, report and table; a batch is gone on with from its output folder alone.
    """

    def __init__(self, ledger: Ledger, address: str, name: str = "") -> None:
        """Look the address up; name is the share's. Raises ListInvalid where nothing knows it."""
        import fsspec

        try:
            self._files, self._root = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise ListInvalid(f"nothing can be copied to {address}: {error}") from None
        self._ledger = ledger
        self.address = address
        self._path = ledger.output / f"copies{name}.json"
        self._there: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            said = read_sealed(self._path)
            if said.get("address") == address:
                self._there = dict(said["files"])

    def copy(self, record: Record | None) -> None:
        """Copy a photo's result where it is not there in this version. Raises CopyFailed.

        Raises StorageFailed where it cannot be noted.
        """
        if record is None or record.status != "done" or record.output is None:
            return
        if self._there.get(record.output) == record.ended:
            return
        self._copy(record.output)
        self._there[record.output] = record.ended
        with writing(self._ledger.output):
            write_sealed(self._path, {"address": self.address, "files": self._there})

    def copy_all(self) -> None:
        """Copy what is not there yet, and the report with its table. Raises CopyFailed."""
        for record in self._ledger.all():
            self.copy(record)
        for name in (PAGE, TABLE):
            self._copy(name)

    def _copy(self, name: str) -> None:
        here, there = self._ledger.output / name, f"{self._root.rstrip('/')}/{name}"
        try:
            self._files.makedirs(self._root, exist_ok=True)
            self._files.put_file(str(here), there)
        except Exception as error:  # each file system has exceptions of its own
            raise CopyFailed(
                f"{name} could not be copied to {self.address}: {error}. It is in "
                f"{self._ledger.output}; the same command copies what is missing"
            ) from error


def copied(job: Job[T], ledger: Ledger, copies: Copies) -> Job[T]:
    """Run a batch and copy results as they come. What fails is told once, and tried at the end."""
    told = False
    try:
        while True:
            try:
                event = next(job)
            except StopIteration as end:
                result: T = end.value
                return result
            yield event
            if isinstance(event, PhotoEnded) and not told:
                try:
                    copies.copy(ledger.record(event.photo))
                except CopyFailed as error:
                    told = True
                    yield Notice(f"{error}. It is tried again at the end")
    finally:
        job.close()
