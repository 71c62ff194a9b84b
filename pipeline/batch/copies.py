"""Copies of a batch's results somewhere else: a bucket, or whatever else fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pipeline.batch.ledger import Ledger, Record
from pipeline.batch.photos import ListInvalid
from pipeline.batch.report import PAGE, TABLE
from pipeline.disk.storage import read_sealed, write_sealed, writing
from pipeline.progress import Notice


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
        self._failed = False
        self._there: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            said = read_sealed(self._path)
            if said.get("address") == address:
                self._there = dict(said["files"])

    def begin(self, record: Record) -> Iterator[Notice]:
        """Copy a photo's result as it comes; what fails is told once, and left to `copy_all`."""
        if self._failed:
            return
        try:
            self._bring(record)
        except CopyFailed as error:
            self._failed = True
            yield Notice(f"{error}. It is tried again at the end")

    def copy_all(self) -> None:
        """Copy what is not there yet, and the report with its table. Raises CopyFailed."""
        for record in self._ledger.all():
            self._bring(record)
        for name in (PAGE, TABLE):
            self._copy(name)

    def _bring(self, record: Record) -> None:
        """Copy a photo's result where it is not there in this version. Raises CopyFailed.

        Raises StorageFailed where it cannot be noted.
        """
        if record.status != "done" or record.output is None:
            return
        if self._there.get(record.output) == record.ended:
            return
        self._copy(record.output)
        self._there[record.output] = record.ended
        with writing(self._ledger.output):
            write_sealed(self._path, {"address": self.address, "files": self._there})

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
