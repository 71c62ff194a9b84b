"""The studio itself: the queue of jobs, the desk, and what the open pages are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.failures import message_of, to_json
from pipeline.machine.bench import Bench, Preview
from pipeline.progress import EndNotice, Event, Notice, StageDone
from pipeline.studio import jobs
from pipeline.studio.desk import NO_POINT_YET, ONLY_PINS, Desk, gone
from pipeline.studio.drift import DriftWatch
from pipeline.studio.history import begin_anew
from pipeline.studio.housekeeping import delete, prune, rename
from pipeline.studio.hub import Hub, Mailbox, frame_message
from pipeline.studio.landmarks import FaceLandmarks
from pipeline.studio.live_motion import packed
from pipeline.studio.networks import listed_network, network_id
from pipeline.studio.pictures import jpeg_bytes
from pipeline.studio.sketch import Sketch
from pipeline.studio.tickets import Kind, Progress, Ticket
from pipeline.studio.view import Track, view
from pipeline.studio.worker import BUSY_WITH, StudioBusy, Worker
from stylegan2.embedded import EMBEDDED

DRAG_INTERVAL = 1 / 40
"""Seconds between two live pictures of a drag, at least."""

OTHER_INTERVAL = 0.25
"""The same of projection and tuning, whose pictures change slowly."""

ENDING_SECONDS = 20.0
"""How long to wait for a step to end whose photo is to be deleted, or whose points are moved."""

LASTING = (Kind.PREPARE, Kind.DRAG)
"""What a person is told of when the studio was closed in the middle."""

MOVING = (Kind.DRAG, Kind.FILM)
"""While one of these goes on, nothing that it stands on may be edited."""


class Studio:
    """One folder of photos, one worker, any number of pages."""

    def __init__(self, root: Path, network: str = EMBEDDED, device: str = "auto") -> None:
        self.desk = Desk(root, network)
        self.hub = Hub()
        self.bench = Bench(device, self._report, self._watch)
        self.drift = DriftWatch(self.desk, self.bench)
        self.landmarks = FaceLandmarks(self.desk)
        self._failures: dict[str, dict[str, Any]] = {}
        # Pages outlive a studio: what the next one tells must count as later.
        self._told = time.time_ns() // 1_000_000
        self._telling = threading.RLock()  # so that an older state never overtakes a newer one
        self.worker = Worker(self.bench, self._tell, self._ended, self._queued)

    def close(self) -> None:
        """End the worker and let the pages go."""
        self.worker.close()
        self.hub.close()

    # -------------------------------------------------------------------------------- views

    def jobs(self, name: str) -> dict[str, dict[str, Any]]:
        """Describe what goes on or waits in a workspace, by its kind."""
        return {each.kind.value: self._job(each) for each in self.worker.tickets(name)}

    def _job(self, ticket: Ticket) -> dict[str, Any]:
        """Describe a ticket; one that waits says what for."""
        plain = ticket.to_json()
        running = ticket is self.worker.running
        waits = not running and not ticket.paused
        ahead = self.worker.ahead_of(ticket) if waits else []
        plain["running"] = running
        plain["ahead"] = [
            {"name": self.desk.name_of(each.workspace), "kind": each.kind.value} for each in ahead
        ]
        return plain

    def sketch(self, workspace: Workspace) -> Sketch:
        """Load a workspace's sketch, which a drag that ends just now is about to change itself."""
        dragging = self.worker.ticket_of(workspace.name, Kind.DRAG) is not None
        return self.desk.sketch(workspace, working=dragging)

    def view(self, workspace: Workspace) -> dict[str, Any]:
        """Describe a workspace for the page. A higher version is a later state."""
        with self._telling:
            self._told += 1
            name = workspace.name
            sketch, tracks = self.sketch(workspace), self._live_tracks(name)
            plain = view(self.desk, workspace, sketch, self.jobs(name), tracks)
            return {**plain, "version": self._told, "failure": self._failures.get(name)}

    def _live_tracks(self, name: str) -> list[Track]:
        ticket = self.worker.ticket_of(name, Kind.DRAG)
        if ticket is None:
            return []
        with ticket.shown_lock:
            return [list(track) for track in ticket.shown.tracks]

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
        """Return the latest live picture of what goes on in a workspace, as a message."""
        ticket = self.worker.ticket_of(name, Kind.DRAG, Kind.PREPARE)
        if ticket is None:
            return None
        with ticket.shown_lock:
            return ticket.shown.frame or None

    # --------------------------------------------------------------------------------- jobs

    def find(self, workspace: Workspace) -> None:
        """Begin to look for faces. Raises StudioBusy."""
        self.start(workspace, Kind.FIND, lambda: jobs.find(self.desk, workspace, self.bench))

    def prepare(self, workspace: Workspace, choice: Mapping[str, Any] | None) -> None:
        """Begin to align, invert and tune, with a new choice of the face or the last one."""
        if choice is not None:
            self.check_idle(workspace, Kind.PREPARE, *MOVING)
            if "landmarks" in choice:
                jobs.keep_landmarks(workspace, choice["landmarks"])
            self.desk.change(workspace, choice=dict(choice))
        self.start(workspace, Kind.PREPARE, lambda: jobs.prepare(self.desk, workspace, self.bench))

    def _take_only_face(self, workspace: Workspace) -> None:
        """Begin with a photo's face where there is no choice to be made."""
        sketch = self.sketch(workspace)
        faces = sketch.found["faces"] if sketch.found else []
        untouched = sketch.choice is None and self.desk.current(workspace, "align") is None
        if len(faces) == 1 and untouched:
            self.prepare(workspace, {"face": 1})

    def drag(self, workspace: Workspace) -> None:
        """Begin to drag by the present points. Raises StudioBusy, StageMissing."""
        now = self.sketch(workspace).now
        points = now.points
        if not now.controls and all(each["handle"] == each["target"] for each in points):
            raise StageMissing(ONLY_PINS if points else NO_POINT_YET)
        preparing = self.worker.ticket_of(workspace.name, Kind.PREPARE)
        if preparing is None and not self.desk.is_ready(workspace, self.sketch(workspace)):
            raise StageMissing("this photo is not prepared yet: choose the face first")
        self.start(workspace, Kind.DRAG, lambda: jobs.drag(self.desk, workspace, self.bench))

    def start(self, workspace: Workspace, kind: Kind, job: Callable[[], Progress]) -> Ticket:
        """Put a job of a workspace into the queue. Raises StudioBusy."""
        ticket = self.worker.start(workspace.name, kind, job)
        self._failures.pop(workspace.name, None)
        if kind in LASTING:
            self.desk.change(workspace, running=kind.value)
        self.broadcast(workspace)
        self.hub.tell_all("list", {})
        return ticket

    def check_idle(self, workspace: Workspace, *kinds: Kind) -> None:
        """Make sure that nothing goes on that stands on what is edited. Raises StudioBusy."""
        ticket = self.worker.ticket_of(workspace.name, *(kinds or MOVING))
        if ticket is not None:
            raise StudioBusy(BUSY_WITH[ticket.kind])

    def end_paused_drag(self, workspace: Workspace) -> None:
        """Let a drag that is paused keep its picture, so that its points can be moved.

        Raises StudioBusy when it takes too long.
        """
        ticket = self.worker.ticket_of(workspace.name, Kind.DRAG)
        if ticket is None or not ticket.paused:
            return
        self.worker.stop(ticket)
        if not self.worker.wait_until_over(workspace.name, ENDING_SECONDS):
            raise StudioBusy(BUSY_WITH[Kind.DRAG])

    def edited(self, workspace: Workspace) -> dict[str, Any]:
        """Tell the pages of an edit, after which an earlier failure is no news any more."""
        self._failures.pop(workspace.name, None)
        return self.broadcast(workspace)

    def rename(self, workspace: Workspace, name: str) -> str:
        """Give a workspace another name; returns its folder's. Raises StudioBusy, NameTaken."""
        self.check_idle(workspace, *Kind)
        renamed = rename(self.desk, workspace, name)
        self.hub.tell_all("list", {})
        return renamed

    def delete(self, workspace: Workspace) -> None:
        """Delete a workspace; what goes on there ends first. Raises StudioBusy."""
        for ticket in self.worker.tickets(workspace.name):
            self.worker.cancel(ticket)
        if not self.worker.wait_until_over(workspace.name, ENDING_SECONDS):
            raise StudioBusy(BUSY_WITH[Kind.PREPARE])
        delete(self.desk, workspace)
        self._failures.pop(workspace.name, None)
        self.hub.tell(workspace.name, "error", {"error": to_json(gone())})
        self.hub.tell_all("list", {})

    def steer(self, workspace: Workspace, action: str) -> None:
        """Pause, continue or stop what goes on in a workspace; nothing when there is nothing."""
        ticket = self.worker.ticket_of(workspace.name)
        if ticket is None:
            return
        steps = {
            "pause": self.worker.pause,
            "continue": self.worker.resume,
            "stop": self.worker.stop,
        }
        steps[action](ticket)
        self._tell_job(ticket)

    def choose_network(self, workspace: Workspace, wanted: str) -> None:
        """Take another network for a photo, and begin to prepare it if its face is chosen.

        Raises StudioBusy, UnknownNetwork.
        """
        self.check_idle(workspace, Kind.PREPARE, *MOVING)
        network = listed_network(self.desk, wanted)
        if network.id == network_id(self.desk.network_of(workspace, self.sketch(workspace))):
            return
        sketch = begin_anew(self.desk, workspace, network.recipe_name)
        self._failures.pop(workspace.name, None)
        if sketch.choice is None:
            self.broadcast(workspace)
        else:
            self.prepare(workspace, None)

    def change_settings(self, workspace: Workspace, settings: Mapping[str, Any]) -> Sketch:
        """Replace the settings that differ from their defaults. Raises RecipeInvalid."""
        self.desk.recipe(workspace, Sketch(settings=settings))
        return self.desk.change(workspace, settings=dict(settings))

    # -------------------------------------------------------------- from the worker's thread

    def _report(self, event: Event) -> None:
        ticket = self.worker.running
        if ticket is not None:
            ticket.take(event)
            self._tell(ticket, event)

    def _tell(self, ticket: Ticket, event: Event) -> None:
        if ticket.has_news:
            ticket.has_news = False
            self.broadcast(self.desk.workspace(ticket.workspace))
        if isinstance(event, EndNotice):
            return  # the status says it
        if isinstance(event, Notice):
            found = self.desk.sketch(self.desk.workspace(ticket.workspace), working=True).found
            if found is not None and event.text in found["notices"]:
                return  # the page shows it where the face is chosen
            self.hub.tell(ticket.workspace, "notice", {"text": event.text})
        elif isinstance(event, StageDone):
            ticket.has_news = True
        else:
            self._tell_job(ticket)

    def _tell_job(self, ticket: Ticket) -> None:
        message = {"workspace": ticket.workspace, "job": self._job(ticket)}
        self.hub.tell(ticket.workspace, "job", message)

    def _queued(self) -> None:
        """Tell the pages whose job waits or goes on that this is so."""
        for ticket in self.worker.tickets():
            self._tell_job(ticket)
        self.hub.tell_all("list", {})

    def _watch(self, preview: Preview) -> None:
        ticket = self.worker.running
        if ticket is None:
            return
        handles = [[round(v, 2) for v in xy] for xy in preview.handles]
        shown = ticket.shown
        with ticket.shown_lock:
            shown.tracks = shown.tracks or [[] for _ in handles]
            for track, xy in zip(shown.tracks, handles, strict=True):
                track.append(xy)
        interval = DRAG_INTERVAL if preview.stage == "drag" else OTHER_INTERVAL
        now = time.monotonic()
        wanted = self.hub.wants_frame(ticket.workspace) and now - shown.drawn_at >= interval
        if wanted or ticket.paused or not shown.frame:
            frame = self._frame(ticket, preview, handles)
            with ticket.shown_lock:
                shown.frame, shown.drawn_at = frame, now
            self.hub.frame(ticket.workspace, frame)

    def _frame(self, ticket: Ticket, preview: Preview, handles: list[list[float]]) -> bytes:
        """Render what a job has right now, and say how the photo moves with it."""
        shown = ticket.shown
        shown.count += 1
        head = {
            "workspace": ticket.workspace,
            "job": ticket.number,
            "seq": shown.count,
            "stage": preview.stage,
            "step": preview.step,
            "handles": handles,
            "distances": [round(v, 2) for v in preview.distances],
            "field": None,
        }
        picture, field = preview.picture(), b""
        if preview.way is not None:
            head["field"], field = packed(preview.way(picture))
        return frame_message(head, jpeg_bytes(picture), field)

    def _ended(self, ticket: Ticket, error: dict[str, Any] | None) -> None:
        try:
            workspace = self.desk.workspace(ticket.workspace)
            if ticket.kind in LASTING:
                self.desk.change(workspace, running=None)
            if ticket.kind is Kind.DRAG:
                prune(self.desk, workspace, self.sketch(workspace))
            if ticket.kind is Kind.FIND and error is None:
                self._take_only_face(workspace)
            if error is not None and ticket.kind is not Kind.FILM:  # who asks for a film is told
                self._failures[ticket.workspace] = error
            self.broadcast(workspace)
        except Exception as second:  # the workspace went away, or its disk is full
            plain = {"event": "error", "kind": "Bug", "message": message_of(second)}
            self.hub.tell(ticket.workspace, "error", {"error": error or plain})
        self._queued()
