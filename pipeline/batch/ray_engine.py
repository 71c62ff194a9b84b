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
    """An actor with a photo. ready is done when it has a place in the cluster; None: it had."""

    actor: Any
    photo: BatchPhoto
    ready: Any
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
        # A machine with one core has room for a worker, too.
        each = [node["Resources"].get("CPU", 0) for node in self._nodes()]
        cores = min([cores, *(count for count in each if count >= 1)])
        if workers and not gpu:
            cores = min(cores, having.get("CPU", 1) / workers)
        share = min(1.0, having["GPU"] / workers) if gpu and workers else 1.0
        self._takes = ("GPU", share) if gpu else ("CPU", cores)
        self._most = workers
        self._count = self._fitting()
        resources = {"num_cpus": 0, "num_gpus": share} if gpu else {"num_cpus": cores}
        self._class = ray.remote(PhotoWorker).options(**resources)
        self._arguments = (output.absolute(), device, max(1, int(cores)))
        self._timeout = timeout
        self._idle: list[Any] = []
        self._busy: dict[Any, _Busy] = {}

    def _nodes(self) -> list[Any]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _fitting(self) -> int:
        """Count the workers that have room in the cluster as it is now; one at least."""
        name, amount = self._takes
        room = sum(int(node["Resources"].get(name, 0) / amount + 1e-6) for node in self._nodes())
        return max(1, room if self._most is None else min(self._most, room))

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        return self._count - len(self._busy)

    def submit(self, photo: BatchPhoto) -> None:
        """Give a photo to a free worker."""
        if self._idle:
            actor, ready = self._idle.pop(), None
        else:
            actor = self._class.remote(*self._arguments)
            ready = actor.__ray_ready__.remote()
        busy = _Busy(actor, photo, ready, None)
        self._busy[actor.edit.remote(photo.to_json())] = busy
        self._limit(busy)

    def _limit(self, busy: _Busy) -> None:
        """Count an actor's time from when it has a place: it may wait for one."""
        if self._timeout is None or busy.deadline is not None:
            return
        if busy.ready is None or self._ray.wait([busy.ready], timeout=0)[0]:
            busy.deadline = time.monotonic() + self._timeout

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until something has come of a photo, at most so long.

        Raises RayMissing where no worker can start.
        """
        # Nothing is left for those that are idle now; another may wait for their place.
        self._let_go(self._idle)
        for each in self._busy.values():
            self._limit(each)
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
            except self._ray.exceptions.RayError as error:
                if getattr(error, "actor_init_failed", False):
                    reason = str(error).strip().splitlines()[-1].strip()
                    raise RayMissing(
                        f"a worker cannot start on the cluster ({reason}): install realdrag on "
                        "every machine of it"
                    ) from None
                outcomes.append(Outcome(busy.photo, None))
                # Its machine may have gone, and idle workers with it: the next photo must not
                # be blamed for that.
                self._let_go(self._idle)
                self._count = self._fitting()
        now = time.monotonic()
        for reference, busy in list(self._busy.items()):
            if busy.deadline is not None and now >= busy.deadline:
                del self._busy[reference]
                self._ray.kill(busy.actor)
                outcomes.append(Outcome(busy.photo, None, timed_out=True))
        return outcomes

    def close(self) -> None:
        """End all workers, whatever they are at."""
        self._let_go(self._idle)
        self._let_go([each.actor for each in self._busy.values()])
        self._busy.clear()

    def _let_go(self, actors: list[Any]) -> None:
        """End actors, and have none of them left."""
        while actors:
            with suppress(Exception):
                self._ray.kill(actors.pop())
