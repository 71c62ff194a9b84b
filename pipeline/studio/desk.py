"""The workspaces as the studio sees them: looked up, and edited."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.disk.artifact import MANIFEST, Artifact, Request
from pipeline.disk.places import SUFFIX, open_workspace, workspaces_in
from pipeline.disk.state import State
from pipeline.disk.storage import read_sealed, replace_file, writing
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.progress import Event, Waiting
from pipeline.settings.recipe import PARTS, Recipe
from pipeline.settings.schema import json_schema
from pipeline.studio.sketch import (
    START,
    Edit,
    Pair,
    Sketch,
    What,
    keep_mask,
    load_sketch,
    mask_path,
    numbered,
    points_json,
    save_sketch,
)
from stylegan2.embedded import embedded_network

SETTABLE = ("drag", "tune", "invert", "result")
"""Parts of a recipe with settings of their own in the studio, in the order they are shown."""

NOT_SETTABLE: Mapping[str, tuple[str, ...]] = {"result": ("format",)}
"""Settings that the page asks for elsewhere."""


NO_POINT_YET = "there is no point yet: drag from where it is to where it should go"

ONLY_PINS = "every point holds its place, so nothing would move: set one that moves"


class WorkspaceUnknown(Exception):
    """There is no workspace of that name where the studio was opened."""


def gone() -> WorkspaceUnknown:
    """Say that a photo is not there any more."""
    return WorkspaceUnknown("there is no such photo here any more: choose one from the list")


class WorkspaceInUse(Exception):
    """Something else is writing to a workspace just now."""

    def __init__(self, workspace: str, holder: str) -> None:
        super().__init__(f"{workspace} is in use by {holder}: try again when that is done")
        self.holder = holder


def at_once(event: Event) -> None:
    """Follow a job that must not wait, as its sink. Raises WorkspaceInUse."""
    if isinstance(event, Waiting):
        raise WorkspaceInUse(event.workspace, event.holder)


def settings_schema() -> dict[str, Any]:
    """Describe every setting of the studio in JSON Schema."""
    parts: dict[str, Any] = {}
    for part in SETTABLE:
        schema = json_schema(PARTS[part])
        for name in NOT_SETTABLE.get(part, ()):
            del schema["properties"][name]
        parts[part] = schema
    seed = {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "default": Recipe().seed,
        "description": "Equal seeds give equal results.",
    }
    return {
        "type": "object",
        "properties": {**parts, "seed": seed},
        "additionalProperties": False,
    }


class Desk:
    """Looks after the sketches of the workspaces in a folder; its methods may be called anywhere.

    A method that returns a Sketch has saved it.
    """

    def __init__(self, root: Path, network: str) -> None:
        self.root = root
        self.network = network
        self.lock = threading.RLock()
        self.taking = threading.Lock()

    # --------------------------------------------------------------------------- looking up

    def workspace(self, name: str) -> Workspace:
        """Open a workspace by the name of its folder. Raises WorkspaceUnknown."""
        if name not in {path.name for path in self.root.glob(f"*{SUFFIX}")}:
            raise gone()
        return open_workspace(self.root / name)

    @staticmethod
    def name_of(workspace: str) -> str:
        """Return what a person calls a workspace."""
        return workspace.removesuffix(SUFFIX)

    def all(self) -> list[Workspace]:
        """List the workspaces, the one used last first."""
        return list(workspaces_in(self.root))

    def of_photo(self, sha256: str) -> Workspace | None:
        """Return the workspace of a photo that is here already, known by its file's hash."""
        here = (each for each in self.all() if self.state(each).photo["sha256"] == sha256)
        return next(here, None)

    def state(self, workspace: Workspace) -> State:
        """Read what a workspace remembers; nothing, when that is damaged or missing."""
        with suppress(ValueError):
            state = workspace.read_state()
            if state is not None:
                return state
        return State({"name": self.name_of(workspace.name), "path": "", "sha256": ""})

    def current(self, workspace: Workspace, stage: str) -> Artifact | None:
        """Return the current artifact of a stage without hashing its files; None without one."""
        request = self.state(workspace).request(stage)
        return None if request is None else self.made(workspace, request.folder_name)

    def made(self, workspace: Workspace, folder_name: str) -> Artifact | None:
        """Return an artifact by its folder's name without hashing its files."""
        folder = workspace.artifacts / folder_name
        try:
            manifest = read_sealed(folder / MANIFEST)
            return Artifact(folder, Request.from_json(manifest["request"]), manifest)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def is_ready(self, workspace: Workspace, sketch: Sketch) -> bool:
        """Tell whether a drag can begin: its photo has been prepared, here or by a command."""
        current = self.state(workspace).current
        made = any(stage in current for stage in ("invert", "tune", "drag"))
        return "align" in current and (made or sketch.prepared == current["align"])

    def photo(self, workspace: Workspace) -> Path:
        """Find the photo's file: the upload, the copy beside the alignment, or where it was."""
        places = sorted((workspace.folder / "studio").glob("original.*"))
        aligned = self.current(workspace, "align")
        if aligned is not None:
            places.append(aligned.folder / str(aligned.info["photo"]))
        if path := self.state(workspace).photo.get("path"):
            places.append(Path(path))
        for place in places:
            if place.is_file():
                return place
        raise StageMissing(f"{workspace.name}: its photo is gone; open the photo again")

    def network_of(self, workspace: Workspace, sketch: Sketch) -> str:
        """Return the network of a photo: the chosen one, the one it was made with, the studio's."""
        if sketch.network is not None:
            return sketch.network
        for stage in ("invert", "drag"):
            made = self.state(workspace).request(stage)
            if made is not None and "network" in made.hints:
                name = made.hints["network"]
                embedded = embedded_network(name, made.config.get("weights"))
                return name if embedded is None else embedded.name
        return self.network

    def recipe(self, workspace: Workspace, sketch: Sketch) -> Recipe:
        """Put the settings of a photo together. Raises RecipeInvalid."""
        choice = sketch.choice or {}
        align = {name: choice[name] for name in ("face", "align") if name in choice}
        network = self.network_of(workspace, sketch)
        return Recipe.from_json({**sketch.settings, "network": network, "align": align})

    # ------------------------------------------------------------------------------- edits

    def sketch(self, workspace: Workspace, *, working: bool = False) -> Sketch:
        """Load a sketch, brought up to date with what the command line did in the meantime.

        working says that a job of the studio is changing the workspace right now.
        """
        with self.lock:
            sketch = load_sketch(workspace.folder)
            if working:
                return sketch
            fresh = self._up_to_date(workspace, sketch)
            if fresh != sketch:
                self.save(workspace, fresh)
            return fresh

    def _up_to_date(self, workspace: Workspace, sketch: Sketch) -> Sketch:
        current = self.state(workspace).current
        aligned, tuned, drag = (current.get(stage) for stage in ("align", "tune", "drag"))
        if sketch.aligned != aligned:
            # Points of another cut-out are somewhere else on the face.
            same = sketch.aligned is None or aligned is None
            edit = sketch.now if same else START
            sketch = replace(sketch, aligned=aligned, edits=(edit,), at=0)
        if sketch.tuned != tuned:
            sketch = replace(sketch, tuned=tuned)
            if any(edit.drag for edit in sketch.edits):  # they stand on what was tuned before
                edit = replace(sketch.now, what=START.what, number=None, drag=None)
                sketch = replace(sketch, edits=(edit,), at=0)
        if sketch.now.drag == drag:
            return sketch
        if drag is None:
            return sketch.edited(replace(sketch.now, what="elsewhere", drag=None))
        dragged = self.current(workspace, "drag")
        if dragged is None:
            return sketch
        return sketch.edited(self.after_drag(workspace, dragged, "elsewhere", ()))

    def after_drag(
        self, workspace: Workspace, dragged: Artifact, what: What, before: Sequence[Pair]
    ) -> Edit:
        """Describe the edit that a finished drag is: its points, with the handles moved.

        before are the points that were dragged, which keep their numbers.
        """
        # Points that controls asked for come last, and are none of a person's own.
        own = int(dragged.request.hints.get("own_points", len(dragged.info["handles"])))
        ends = zip(dragged.info["handles"][:own], dragged.info["targets"][:own], strict=True)
        points = numbered(
            [
                {
                    "handle": [float(v) for v in handle],
                    "target": [float(v) for v in target],
                    "number": before[i]["number"] if i < len(before) else None,
                }
                for i, (handle, target) in enumerate(ends)
            ]
        )
        mask = None
        masked = "mask.png" in dragged.manifest["files"]
        if masked and dragged.request.config["mask_space"] == "aligned":
            mask = keep_mask(workspace.folder, dragged.path("mask.png").read_bytes())
        return Edit(what, points, mask, dragged.fingerprint)

    def save(self, workspace: Workspace, sketch: Sketch) -> Sketch:
        """Save a sketch, and its points as points.json and mask.png at the workspace's top."""
        with self.lock:
            save_sketch(workspace.folder, sketch)
            edit = sketch.now
            points, mask = workspace.folder / "points.json", workspace.folder / "mask.png"
            with writing(workspace.folder):
                if edit.mask is not None:
                    replace_file(mask, mask_path(workspace.folder, edit.mask).read_bytes())
                else:
                    mask.unlink(missing_ok=True)
                if edit.points:
                    plain = canonical_points(edit.points, edit.mask)
                    replace_file(points, plain)
                else:
                    points.unlink(missing_ok=True)
            return sketch

    def change(self, workspace: Workspace, **changes: Any) -> Sketch:
        """Replace fields of a sketch that are no edits (found, choice, settings, ...)."""
        with self.lock:
            sketch = replace(load_sketch(workspace.folder), **changes)
            save_sketch(workspace.folder, sketch)
            return sketch

    def edit(
        self, workspace: Workspace, what: What, number: int | None = None, **changes: Any
    ) -> Sketch:
        """Make an edit of points or mask."""
        with self.lock:
            sketch = self.sketch(workspace)
            if replace(sketch.now, **changes) == sketch.now:
                return sketch
            edit = replace(sketch.now, what=what, number=number, **changes)
            return self.save(workspace, sketch.edited(edit))

    def aligned(self, workspace: Workspace) -> Artifact:
        """Return the alignment. Raises StageMissing."""
        aligned = self.current(workspace, "align")
        if aligned is None:
            raise StageMissing("choose the face first")
        return aligned


def canonical_points(points: Sequence[Pair], mask: str | None) -> bytes:
    """Write a points file."""
    return f"{json.dumps(points_json(points, mask), indent=1)}\n".encode()
