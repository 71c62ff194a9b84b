"""What the page is told about a workspace: everything it shows, in one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from drag.stopping import StopReason
from inversion.config import CLOSE_PSNR
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.picture.animation import spread
from pipeline.stage_table import STAGES
from pipeline.studio.desk import Desk
from pipeline.studio.networks import network_id
from pipeline.studio.pictures import closeup_of, photo_size
from pipeline.studio.sketch import Edit, Sketch, load_sketch
from stylegan2.sizes import sides

MAX_TRACK = 120
"""Positions of a handle's track that the page gets of a finished drag."""

Track = list[list[float]]
"""Positions of a handle, xy, one after the other."""


def summary(desk: Desk, workspace: Workspace, jobs: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a workspace for the list of photos."""
    current = desk.state(workspace).current
    return {
        "id": workspace.name,
        "name": desk.name_of(workspace.name),
        "begun": bool(current),
        "ready": desk.is_ready(workspace, load_sketch(workspace.folder)),
        "edited": "result" in current,
        "jobs": jobs,
        "version": "-".join(fp[:8] for fp in current.values()) or "0",
    }


def view(
    desk: Desk,
    workspace: Workspace,
    sketch: Sketch,
    jobs: Mapping[str, Any],
    live: Sequence[Track],
) -> dict[str, Any]:
    """Describe a workspace for the page that shows it. All positions are in aligned pixels.

    live are the tracks of the handles of a drag that goes on, in the order of the points.
    """
    made = {stage: desk.current(workspace, stage) for stage in STAGES}
    aligned, dragged = made["align"], made["drag"]
    tracks = dict(zip((each["number"] for each in sketch.now.points), live, strict=False))
    if not live and dragged is not None:
        tracks = _tracks_left(sketch, dragged)
    return {
        "id": workspace.name,
        "name": desk.name_of(workspace.name),
        "jobs": jobs,
        "interrupted": None if sketch.running in jobs else sketch.running,
        "found": sketch.found,
        "photo": _photo(desk, workspace, sketch, aligned),
        "face": None if aligned is None else _face(aligned),
        "closeup": None if aligned is None else _closeup(aligned),
        "made": {stage: artifact.fingerprint[:16] for stage, artifact in made.items() if artifact},
        "fidelity": {
            stage: artifact.info.get("fidelity")
            for stage, artifact in made.items()
            if artifact is not None and "fidelity" in artifact.info
        },
        "close_psnr": CLOSE_PSNR,
        "ready": desk.is_ready(workspace, sketch),
        "edit": {
            "points": [
                {**each, "track": tracks.get(each["number"], [])} for each in sketch.now.points
            ],
            "controls": dict(sketch.now.controls),
            "mask": sketch.now.mask,
            "drag": sketch.now.drag,
            **_stop(sketch, dragged),
            "undo": _said(sketch.now) if sketch.can_undo else None,
            "redo": _said(sketch.edits[sketch.at + 1]) if sketch.can_redo else None,
        },
        "settings": sketch.settings,
        "network": network_id(desk.network_of(workspace, sketch)),
    }


def _said(edit: Edit) -> dict[str, Any]:
    """Tell what an edit did, for the page to put into words."""
    return {"what": edit.what, "number": edit.number}


def _stop(sketch: Sketch, dragged: Artifact | None) -> dict[str, str | None]:
    """Tell why the drag stopped, and in which words, if nothing has been edited since."""
    ended = sketch.now.what in ("drag", "elsewhere") and sketch.now.drag is not None
    if not ended or dragged is None:
        return {"stop": None, "stop_words": None}
    stop = StopReason(dragged.info["stop"])
    return {"stop": stop.value, "stop_words": stop.words}


def _photo(
    desk: Desk, workspace: Workspace, sketch: Sketch, aligned: Artifact | None
) -> dict[str, Any] | None:
    """Tell the photo's size and its preview's; None while it is not known."""
    size = sketch.found["size"] if sketch.found else None
    if aligned is not None:
        size = aligned.info["photo_size"]
    if size is None:
        with suppress(StageMissing):
            size = photo_size(desk.photo(workspace))
    return None if size is None else {"width": size[0], "height": size[1]}


def _closeup(aligned: Artifact) -> dict[str, int] | None:
    part = closeup_of(aligned.info["quad"], tuple(aligned.info["photo_size"]))
    return None if part is None else asdict(part)


def _face(aligned: Artifact) -> dict[str, Any]:
    height, width = sides(aligned.info["size"])
    return {
        "width": width,
        "height": height,
        "photo_to_aligned": aligned.info["photo_to_aligned"],
        "source": aligned.info["landmark_source"],
    }


def _tracks_left(sketch: Sketch, dragged: Artifact) -> dict[int, Track]:
    """Return where handles went in the drag that is shown, of those that are still where it ended.

    Thinned out, by the points' numbers.
    """
    from pipeline.stages.artifact_files import DRAG, read_tensors

    edits = (edit for edit in reversed(sketch.edits) if edit.drag == dragged.fingerprint)
    ended = next((edit for edit in edits if edit.what in ("drag", "elsewhere")), None)
    if ended is None:
        return {}
    try:
        handles = read_tensors(dragged, DRAG)["handles"]
    except (OSError, ValueError):
        return {}
    chosen = handles[spread(int(dragged.info["step"]) + 1, MAX_TRACK)]
    there = {each["number"]: each["handle"] for each in sketch.now.points}
    return {
        each["number"]: [[round(v, 2) for v in xy] for xy in track]
        for each, track in zip(ended.points, chosen.transpose(0, 1).tolist(), strict=False)
        if there.get(each["number"]) == each["handle"]
    }
