"""What runs a batch's photos: workers that take one photo each at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.batch.photos import BatchPhoto


@dataclass(frozen=True)
class Outcome:
    """What a worker has come to: its answer, or None where the worker is gone."""

    photo: BatchPhoto
    answer: Mapping[str, Any] | None
    timed_out: bool = False


class Engine(Protocol):
    """Workers, wherever they are."""

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""

    def submit(self, photo: BatchPhoto) -> None:
        """Give a photo to a free worker."""

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until something has come of a photo, at most so long."""

    def close(self) -> None:
        """End all workers, whatever they are at."""
