"""Undo, redo and starting over, drags included: the workspace shows what the edit names.

With another network everything begins anew: the face is cut out at its size, and moves as it says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from drag.points import transform
from pipeline.disk.artifact import ArtifactCorrupt, read_artifact
from pipeline.disk.storage import write_sealed, writing
from pipeline.disk.workspace import STATE, StageMissing, Workspace
from pipeline.progress import Job, follow
from pipeline.studio.desk import Desk, at_once
from pipeline.studio.sketch import START, Edit, Sketch
from stylegan2.arrays import Float64Array


def undo_or_redo(desk: Desk, workspace: Workspace, by: int) -> Sketch:
    """Undo (-1) or redo (+1), drags included. Raises WorkspaceInUse, ArtifactCorrupt."""
    with desk.lock:
        sketch = desk.sketch(workspace)
        moved = sketch.moved(by)
        _show(desk, workspace, moved.now.drag)
        return desk.save(workspace, moved)


def reset(desk: Desk, workspace: Workspace) -> Sketch:
    """Go back to the photo as it was, without points; an edit that can be undone."""
    with desk.lock:
        sketch = desk.sketch(workspace)
        _show(desk, workspace, None)
        if replace(sketch.now, what=START.what, number=None) == START:
            return sketch
        return desk.save(workspace, sketch.edited(replace(START, what="reset")))


def begin_anew(desk: Desk, workspace: Workspace, network: str) -> Sketch:
    """Take another network for a photo, whose face has to be prepared for it then.

    Points and controls that asked for the present picture are set again once there is a face to set
    them on; what was dragged, and the painted area, are forgotten. Raises WorkspaceInUse.
    """
    with desk.lock:
        sketch = desk.sketch(workspace)
        aligned = desk.current(workspace, "align")
        if aligned is None:
            return desk.change(workspace, network=network)
        to_photo = np.linalg.inv(np.array(aligned.info["photo_to_aligned"], dtype=np.float64))
        asked = _asked(sketch)
        given = tuple(
            {"handle": _moved(to_photo, each["handle"]), "target": _moved(to_photo, each["target"])}
            for each in asked.points
        )
        follow(_forget_made(workspace), at_once)
        fresh = replace(
            sketch,
            network=network,
            choice=sketch.choice or _choice_of(aligned.request.config),
            aligned=None,
            prepared=None,
            tuned=None,
            edits=(replace(START, controls=asked.controls),),
            at=0,
            given=given,
        )
        return desk.save(workspace, fresh)


def _moved(matrix: Float64Array, xy: Sequence[float]) -> list[float]:
    x, y = xy
    return list(transform(matrix, (x, y)))


def _asked(sketch: Sketch) -> Edit:
    """Return the edit that asked for the picture that is shown: the last before its drags."""
    edits = sketch.edits[: sketch.at + 1]
    undragged = (edit for edit in reversed(edits) if edit.drag is None)
    return next(undragged, START)


def _choice_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say how a face was taken that a command has cut out."""
    if config["align"] == "none":
        return {"align": "none"}
    return {"face": config.get("face") or 1}


def _forget_made(workspace: Workspace) -> Job[None]:
    with (yield from workspace.lock()):
        workspace.forget_made()


def _show(desk: Desk, workspace: Workspace, drag: str | None) -> None:
    """Make a drag and its result the current ones, or none."""
    if desk.state(workspace).current.get("drag") != drag:
        show = _show_undragged(workspace) if drag is None else _show_drag(desk, workspace, drag)
        follow(show, at_once)


def _show_drag(desk: Desk, workspace: Workspace, drag: str) -> Job[None]:
    with (yield from workspace.lock()):
        folder = next(workspace.artifacts.glob(f"drag-{drag[:16]}"), None)
        if folder is None:
            raise StageMissing("that drag is no longer on disk")
        dragged = yield from workspace.find(read_artifact(folder).request)
        if dragged is None:
            raise ArtifactCorrupt(folder, "it was set aside")
        workspace.make_current(dragged)
        for folder in workspace.artifacts.glob("result-*"):
            made = desk.made(workspace, folder.name)
            if made is not None and made.request.inputs["drag"] == drag:
                result = yield from workspace.find(made.request)
                if result is not None:
                    workspace.make_current(result)
                    return


def _show_undragged(workspace: Workspace) -> Job[None]:
    with (yield from workspace.lock()):
        state = workspace.read_state()
        request = None if state is None else state.request("align")
        if state is None or request is None:
            raise StageMissing(f"{workspace.name} has no face yet")
        aligned = yield from workspace.find(request)
        if aligned is None:
            raise ArtifactCorrupt(workspace.artifacts / request.folder_name, "it was set aside")
        kept = {stage: fp for stage, fp in state.current.items() if stage not in ("drag", "result")}
        with writing(workspace.folder):
            write_sealed(workspace.folder / STATE, replace(state, current=kept).to_json())
        workspace.make_current(aligned)
