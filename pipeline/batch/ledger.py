"""What became of each photo of a batch, on disk: the batch goes on from there after anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipeline.batch.photos import BatchPhoto
from pipeline.disk.storage import read_sealed, write_sealed, writing

Status = Literal["waiting", "done", "failed", "timed_out", "quarantined"]

RECORDS = "records"
WORKSPACES = "workspaces"
COMPARED = "compared"
"""Folders in a batch's output: what became of each photo, their workspaces, before and after."""


@dataclass(frozen=True)
class Record:
    """What became of a photo. killed counts the workers that died with it.

    made and reused are stages; seconds is what the edit took; output is the result's file name.
    """

    name: str
    photo: str
    request: str
    status: Status = "waiting"
    killed: int = 0
    exit_code: int | None = None
    kind: str | None = None
    message: str | None = None
    seconds: float | None = None
    ended: float | None = None
    output: str | None = None
    made: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class Ledger:
    """A batch's records, a file each, and its log, a line of JSON for each event."""

    def __init__(self, output: Path, log: str = "log.jsonl") -> None:
        self.output = output
        self._log = output / log

    def prepare(self) -> None:
        """Make the output's folders. Raises StorageFailed."""
        with writing(self.output):
            for folder in (RECORDS, WORKSPACES, COMPARED):
                (self.output / folder).mkdir(parents=True, exist_ok=True)

    def of(self, photo: BatchPhoto) -> Record:
        """Return what is known of a photo; nothing, where another edit was asked for."""
        fresh = Record(photo.name, str(photo.path), photo.request)
        known = self._read(self._path(photo.name))
        if known is None or known.request != fresh.request:
            return fresh
        if known.output is not None and not (self.output / known.output).is_file():
            return fresh
        return known

    def withdraw(self, photo: BatchPhoto) -> None:
        """Take away the result of another edit, so that nobody takes it for this one's."""
        known = self._read(self._path(photo.name))
        if known is not None and known.output is not None:
            with writing(self.output):
                (self.output / known.output).unlink(missing_ok=True)
                (self.output / COMPARED / f"{photo.name}.jpg").unlink(missing_ok=True)

    def save(self, record: Record) -> None:
        """Keep a record. Raises StorageFailed."""
        with writing(self.output):
            write_sealed(self._path(record.name), asdict(record))

    def log(self, event: str, **said: Any) -> None:
        """Add a line to the log. Raises StorageFailed."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **said})
        with writing(self.output), self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def all(self) -> Iterator[Record]:
        """Yield every record, by name."""
        for path in sorted((self.output / RECORDS).glob("*.json")):
            if (record := self._read(path)) is not None:
                yield record

    def _path(self, name: str) -> Path:
        return self.output / RECORDS / f"{name}.json"

    @staticmethod
    def _read(path: Path) -> Record | None:
        with suppress(OSError, ValueError, TypeError):
            said: Mapping[str, Any] = read_sealed(path)
            return Record(**said)
        return None
