"""A worker: a process that loads a network once, and edits photo after photo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pipeline.batch.ledger import COMPARED, WORKSPACES
from pipeline.disk.artifact import Artifact
from pipeline.disk.places import SUFFIX
from pipeline.disk.storage import writing
from pipeline.failures import BUG, failure_of, message_of
from pipeline.jobs.claim import photo_hash
from pipeline.jobs.edit import edit
from pipeline.jobs.obtain import current
from pipeline.machine.bench import Bench
from pipeline.progress import Event, Notice, StageDone, follow
from pipeline.settings.recipe import Recipe

THUMB = 480
"""Width of a picture of before | after, in pixels."""


def serve(connection: Connection, output: str, device: str, threads: int) -> None:
    """Answer with what became of each photo that comes, until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    threading.Thread(target=_die_with_parent, daemon=True).start()
    worker = PhotoWorker(Path(output), device, threads)
    while True:
        try:
            photo = json.loads(connection.recv_bytes())
        except EOFError:
            return
        connection.send_bytes(json.dumps(worker.edit(photo)).encode())


def _die_with_parent() -> None:
    """End at once when the batch is killed: what is half done would be nobody's."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


class PhotoWorker:
    """Edits photos one after the other; networks stay loaded in between."""

    def __init__(self, output: Path, device: str, threads: int) -> None:
        self._output = output
        self._threads = threads
        self._heard: list[Event] = []
        self._bench = Bench(device, report=self._heard.append)

    def edit(self, photo: Mapping[str, Any]) -> dict[str, Any]:
        """Edit a photo of `BatchPhoto.to_json`; whatever goes wrong is in the answer."""
        self._heard.clear()
        began = time.monotonic()
        try:
            answer = self._edit(photo)
        except Exception as error:
            failure = failure_of(error)
            said = message_of(error)
            if failure.exit_code == BUG:
                said = f"{said}\n{''.join(traceback.format_exception(error)).strip()}"
            answer = {
                "status": "failed",
                "exit_code": failure.exit_code,
                "kind": failure.kind,
                "message": said,
            }
        stages = [each for each in self._heard if isinstance(each, StageDone)]
        return {
            **answer,
            "seconds": round(time.monotonic() - began, 2),
            "made": [each.stage for each in stages if not each.reused],
            "reused": [each.stage for each in stages if each.reused],
            "notices": [str(each.text) for each in self._heard if isinstance(each, Notice)],
        }

    def _edit(self, photo: Mapping[str, Any]) -> dict[str, Any]:
        from drag.points import parse_points

        if self._threads:
            import torch

            torch.set_num_threads(self._threads)
        path = Path(photo["path"])
        recipe = Recipe.from_json(photo["recipe"])
        asked = photo["points"]
        points = None if asked is None else parse_points(asked, path.parent)
        # A photo that was exchanged for another of its name gets a workspace of its own.
        folder = f"{photo['name']}-{photo_hash(path)[:8]}{SUFFIX}"
        parent = self._output / WORKSPACES
        job = edit(
            path,
            points,
            recipe,
            self._bench,
            parent=parent,
            folder=parent / folder,
            controls=photo["controls"],
        )
        workspace, dragged = follow(job, self._heard.append)
        result = follow(current(workspace, "result", self._bench), self._heard.append)
        name = f"{photo['name']}.{recipe.result.format}"
        self._put(result, photo["name"], name, recipe.result.format)
        return {"status": "done", "output": name, "stop": dragged.info["stop"]}

    def _put(self, result: Artifact, photo: str, name: str, form: str) -> None:
        """Copy the edited photo to the output, and a small picture of before and after."""
        from PIL import Image

        with writing(self._output):
            partial = self._output / f".{name}.{os.getpid()}.part"
            shutil.copyfile(result.path(f"result.{form}"), partial)
            os.replace(partial, self._output / name)
            with Image.open(result.path("compare.png")) as compared:
                compared.thumbnail((THUMB, THUMB), Image.Resampling.LANCZOS)
                compared.convert("RGB").save(
                    self._output / COMPARED / f"{photo}.jpg", quality=85, optimize=True
                )
