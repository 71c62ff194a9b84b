"""The Ray engine: workers on a laptop or on a cluster whose machines share the output folder."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.batch.engine import Outcome
from pipeline.batch.local import CORES_EACH
from pipeline.batch.photos import BatchPhoto
from pipeline.batch.worker import PhotoWorker


class RayMissing(Exception):
    """Ray is not installed, or its cluster cannot be reached."""


@dataclass
class _Busy:
    actor: Any
    photo: BatchPhoto
    deadline: float | None


class RayEngine:
    """Ray actors that each hold their own networks; retries are the driver's, not Ray's."""

    def __init__(
        self,
        output: Path,
        device: str,
        workers: int | None,
        timeout: float | None,
        address: str | None = None,
    ) -> None:
        """Join the cluster at `address`, or start Ray on this machine. Raises RayMissing."""
        try:
            import ray as installed
        except ImportError:
            raise RayMissing("Ray is not installed: pip install 'realdrag[ray]'") from None
        ray: Any = installed  # it has types for few of its functions
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address, include_dashboard=False, log_to_driver=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise RayMissing(
                    f"no Ray cluster at {address or 'this machine'}: {error}"
                ) from None
        having = ray.cluster_resources()
        gpu = device not in ("cpu", "mps") and having.get("GPU", 0) >= 1
        cores = float(min(CORES_EACH, max(having.get("CPU", 1), 1)))
        fitting = having.get("GPU", 0) if gpu else having.get("CPU", 1) // cores
        self._count = workers or max(1, int(fitting))
        if workers and not gpu:
            cores = min(cores, having.get("CPU", 1) / workers)
        share = {"num_gpus": min(1.0, having["GPU"] / self._count)} if gpu else {}
        self._class = ray.remote(PhotoWorker).options(num_cpus=0 if gpu else cores, **share)
        self._arguments = (output.absolute(), device, max(1, int(cores)))
        self._timeout = timeout
        self._idle: list[Any] = []
        self._busy: dict[Any, _Busy] = {}

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        return self._count - len(self._busy)

    def submit(self, photo: BatchPhoto) -> None:
        """Give a photo to a free worker."""
        actor = self._idle.pop() if self._idle else self._class.remote(*self._arguments)
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        self._busy[actor.edit.remote(photo.to_json())] = _Busy(actor, photo, deadline)

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until something has come of a photo, at most so long."""
        now = time.monotonic()
        ends = [each.deadline - now for each in self._busy.values() if each.deadline is not None]
        ready, _ = self._ray.wait(
            list(self._busy), num_returns=1, timeout=max(0.0, min([seconds, *ends]))
        )
        outcomes = []
        for reference in ready:
            busy = self._busy.pop(reference)
            try:
                outcomes.append(Outcome(busy.photo, self._ray.get(reference)))
                self._idle.append(busy.actor)
            except self._ray.exceptions.RayError:
                outcomes.append(Outcome(busy.photo, None))
                # Its machine may have gone, and idle workers with it: the next photo must not
                # be blamed for that.
                for actor in self._idle:
                    self._ray.kill(actor)
                self._idle.clear()
        now = time.monotonic()
        for reference, busy in list(self._busy.items()):
            if busy.deadline is not None and now >= busy.deadline:
                del self._busy[reference]
                self._ray.kill(busy.actor)
                outcomes.append(Outcome(busy.photo, None, timed_out=True))
        return outcomes

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for actor in [*self._idle, *(each.actor for each in self._busy.values())]:
            with suppress(Exception):
                self._ray.kill(actor)
        self._idle.clear()
        self._busy.clear()
