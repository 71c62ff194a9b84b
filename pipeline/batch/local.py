"""The local engine: worker processes on this machine."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from pipeline.batch.engine import Outcome
from pipeline.batch.photos import BatchPhoto
from pipeline.batch.worker import serve

CORES_EACH = 2
"""A worker alone uses two cores well; more photos at a time use more of them better."""


def worker_count(device: str) -> int:
    """Choose a number of workers: one for each pair of cores, one for a GPU."""
    if device != "cpu":
        from pipeline.machine.devices import pick_device

        if pick_device(device) != "cpu":
            return 1
    return max(1, (os.cpu_count() or 1) // CORES_EACH)


@dataclass
class _Worker:
    process: Any
    connection: connection.Connection
    photo: BatchPhoto | None = None
    deadline: float | None = None


class LocalEngine:
    """Processes that each hold their own networks. A killed one is replaced when it is needed."""

    def __init__(self, output: Path, device: str, workers: int, timeout: float | None) -> None:
        self._output = output
        self._device = device
        self._count = workers
        self._timeout = timeout
        # A process started anew has no locks and threads of ours, and CUDA works in it.
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    @property
    def free(self) -> int:
        """How many workers have nothing to do."""
        return self._count - sum(each.photo is not None for each in self._workers)

    def submit(self, photo: BatchPhoto) -> None:
        """Give a photo to a free worker."""
        idle = [each for each in self._workers if each.photo is None and each.process.is_alive()]
        worker = idle[0] if idle else self._start()
        worker.photo = photo
        worker.deadline = None if self._timeout is None else time.monotonic() + self._timeout
        with suppress(OSError):  # it has just died: `wait` tells
            worker.connection.send_bytes(json.dumps(photo.to_json()).encode())

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until something has come of a photo, at most so long."""
        busy = [each for each in self._workers if each.photo is not None]
        now = time.monotonic()
        ends = [each.deadline - now for each in busy if each.deadline is not None]
        connection.wait([each.connection for each in busy], timeout=max(0.0, min([seconds, *ends])))
        outcomes = []
        for worker in busy:
            assert worker.photo is not None
            photo, answer = worker.photo, self._answer(worker)
            if answer is not None:
                worker.photo = None
                outcomes.append(Outcome(photo, answer))
            elif not worker.process.is_alive():
                self._end(worker)
                outcomes.append(Outcome(photo, None))
            elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                self._end(worker)
                outcomes.append(Outcome(photo, None, timed_out=True))
        return outcomes

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for worker in list(self._workers):
            self._end(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        threads = 0 if self._count == 1 else max(1, (os.cpu_count() or 1) // self._count)
        process = self._context.Process(
            target=serve, args=(theirs, str(self._output), self._device, threads), daemon=True
        )
        process.start()
        theirs.close()
        gone = [e for e in self._workers if e.photo is None and not e.process.is_alive()]
        for each in gone:
            self._end(each)
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    @staticmethod
    def _answer(worker: _Worker) -> dict[str, Any] | None:
        try:
            if worker.connection.poll():
                answer: dict[str, Any] = json.loads(worker.connection.recv_bytes())
                return answer
        except (EOFError, OSError):
            worker.process.join(10)  # its end of the pipe is closed: it dies just now
        return None

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
