"""The studio itself: the worker, the desk, and what the open pages are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.disk.workspace import Workspace
from pipeline.failures import message_of, to_json
from pipeline.machine.bench import Bench, Preview
from pipeline.progress import Event, Notice
from pipeline.studio import jobs
from pipeline.studio.desk import Desk
from pipeline.studio.drift import Holds
from pipeline.studio.hub import Hub, Mailbox, frame_message
from pipeline.studio.pictures import jpeg_bytes
from pipeline.studio.sketch import Sketch
from pipeline.studio.view import view
from pipeline.studio.worker import Progress, StudioBusy, Task, Worker
from stylegan2.embedded import EMBEDDED

DRAG_INTERVAL = 1 / 40
"""Seconds between two live pictures of a drag, at least."""

OTHER_INTERVAL = 0.25
"""The same of projection and tuning, whose pictures change slowly."""

LASTING = ("prepare", "drag")
"""Jobs that a person is told of when the studio was closed in the middle."""


@dataclass
class Live:
    """What a running job has shown so far; handles and tracks are in aligned pixels."""

    head: dict[str, Any] = field(default_factory=dict)
    jpeg: bytes = b""
    drawn_at: float = 0.0
    tracks: list[list[list[float]]] = field(default_factory=list)


class Studio:
    """One folder of photos, one worker, any number of pages."""

    def __init__(self, root: Path, network: str = EMBEDDED, device: str = "auto") -> None:
        self.desk = Desk(root, network)
        self.hub = Hub()
        self._live = Live()
        self._live_lock = threading.Lock()
        self._telling = threading.RLock()  # so that an older state never overtakes a newer one
        self.bench = Bench(device, self._report, self._watch)
        self.worker = Worker(self.bench, self._tell, self._ended)
        self.holds = Holds(self.desk, self.bench)

    def close(self) -> None:
        """End the worker and let the pages go."""
        self.worker.close()
        self.hub.close()

    # -------------------------------------------------------------------------------- views

    def job(self, name: str) -> dict[str, Any] | None:
        """Describe the running job of a workspace."""
        task = self.worker.task_of(name)
        if task is None:
            return None
        with self._live_lock:
            tracks = [list(track) for track in self._live.tracks]
        return {**task.to_json(), "tracks": tracks}

    def view(self, workspace: Workspace) -> dict[str, Any]:
        """Describe a workspace for the page."""
        job = self.job(workspace.name)
        sketch = self.desk.sketch(workspace, working=job is not None)
        return view(self.desk, workspace, sketch, job)

    def broadcast(self, workspace: Workspace) -> dict[str, Any]:
        """Tell every page that shows a workspace how it is now, and return that."""
        with self._telling:
            plain = self.view(workspace)
            self.hub.tell(workspace.name, "state", {"state": plain})
            return plain

    def show_to(self, mailbox: Mailbox, name: str | None) -> None:
        """Show a workspace to a page from now on, beginning with how it is."""
        with self._telling:
            mailbox.watch(name)
            if name is None:
                return
            try:
                state = self.view(self.desk.workspace(name))
            except Exception as error:
                mailbox.put("error", json.dumps({"type": "error", "error": to_json(error)}))
                return
            mailbox.put("state", json.dumps({"type": "state", "state": state}))
        frame = self.last_frame(name)
        if frame is not None:
            mailbox.put("frame", frame)

    def last_frame(self, name: str) -> bytes | None:
        """Return the latest live picture of a running job, as a message."""
        with self._live_lock:
            if self.worker.task_of(name) is None or not self._live.jpeg:
                return None
            return frame_message({"workspace": name, **self._live.head}, self._live.jpeg)

    # --------------------------------------------------------------------------------- jobs

    def find(self, workspace: Workspace) -> None:
        """Begin to look for faces. Raises StudioBusy."""
        self.start(workspace, "find", lambda: jobs.find(self.desk, workspace, self.bench))

    def prepare(self, workspace: Workspace, choice: Mapping[str, Any] | None) -> None:
        """Begin to align, invert and tune, with a new choice of the face or the last one."""
        if choice is not None:
            self.idle(workspace)
            if "landmarks" in choice:
                jobs.keep_landmarks(workspace, choice["landmarks"])
            self.desk.change(workspace, choice=dict(choice))
        self.start(workspace, "prepare", lambda: jobs.prepare(self.desk, workspace, self.bench))

    def drag(self, workspace: Workspace) -> None:
        """Begin to drag. Raises StudioBusy."""
        self.start(workspace, "drag", lambda: jobs.drag(self.desk, workspace, self.bench))

    def start(self, workspace: Workspace, kind: str, job: Callable[[], Progress]) -> None:
        """Begin a job of a workspace. Raises StudioBusy."""
        with self._live_lock:
            self._live = Live()

        def begun() -> Progress:
            if kind in LASTING:
                self.desk.change(workspace, running=kind)
            yield from job()

        self.worker.start(workspace.name, kind, begun)
        self.broadcast(workspace)
        self.hub.tell_all("list", {})

    def idle(self, workspace: Workspace) -> None:
        """Make sure that no job is changing a workspace. Raises StudioBusy."""
        if self.worker.task_of(workspace.name) is not None:
            raise StudioBusy("this photo is being worked on: stop that first, or wait")

    def steer(self, workspace: Workspace, action: str) -> None:
        """Pause, continue or stop the running job of a workspace; nothing when there is none."""
        task = self.worker.task_of(workspace.name)
        if task is None:
            return
        if action == "pause":
            task.pause()
        elif action == "continue":
            task.proceed()
        elif action == "stop":
            self.worker.stop(task)
        else:
            raise ValueError(f"unknown action {action}")
        self.hub.tell(workspace.name, "job", {"job": task.to_json()})

    def change_settings(self, workspace: Workspace, settings: Mapping[str, Any]) -> Sketch:
        """Replace the settings that differ from their defaults. Raises RecipeInvalid."""
        self.desk.recipe(Sketch(settings=settings))
        return self.desk.change(workspace, settings=dict(settings))

    # -------------------------------------------------------------- from the worker's thread

    def _report(self, event: Event) -> None:
        task = self.worker.task
        if task is not None:
            task.take(event)
            self._tell(task, event)

    def _tell(self, task: Task, event: Event) -> None:
        if isinstance(event, Notice):
            self.hub.tell(task.workspace, "notice", {"text": event.text})
        elif event.event == "stage":
            self.broadcast(self.desk.workspace(task.workspace))
        else:
            self.hub.tell(task.workspace, "job", {"job": task.to_json()})

    def _watch(self, preview: Preview) -> None:
        task = self.worker.task
        if task is None:
            return
        handles = [[round(v, 2) for v in xy] for xy in preview.handles]
        head = {
            "stage": preview.stage,
            "step": preview.step,
            "handles": handles,
            "distances": [round(v, 2) for v in preview.distances],
        }
        with self._live_lock:
            live = self._live
            live.tracks = live.tracks or [[] for _ in handles]
            for track, xy in zip(live.tracks, handles, strict=True):
                track.append(xy)
            live.head = head
        interval = DRAG_INTERVAL if preview.stage == "drag" else OTHER_INTERVAL
        now = time.monotonic()
        wanted = self.hub.wants_frame(task.workspace) and now - live.drawn_at >= interval
        if wanted or task.paused or not live.jpeg:
            jpeg = jpeg_bytes(preview.picture())
            with self._live_lock:
                live.jpeg, live.drawn_at = jpeg, now
            self.hub.frame(task.workspace, head, jpeg)

    def _ended(self, task: Task, error: dict[str, Any] | None) -> None:
        try:
            workspace = self.desk.workspace(task.workspace)
            if task.kind in LASTING:
                self.desk.change(workspace, running=None)
            self.broadcast(workspace)
        except Exception as second:  # the workspace went away, or its disk is full
            error = error or {"event": "error", "kind": "Bug", "message": message_of(second)}
        if error is not None:
            self.hub.tell(task.workspace, "error", {"error": error})
        self.hub.tell_all("list", {})
