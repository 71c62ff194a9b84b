"""What the page is told about a workspace: everything it shows, in one JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drag.stopping import StopReason
from inversion.config import CLOSE_PSNR
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import Workspace
from pipeline.picture.animation import spread
from pipeline.stage_table import STAGES
from pipeline.studio.desk import Desk
from pipeline.studio.pictures import preview_size
from pipeline.studio.sketch import Sketch

MAX_TRACK = 120
"""Positions of a handle's track that the page gets of a finished drag."""


def summary(desk: Desk, workspace: Workspace, jobs: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a workspace for the list of photos."""
    state = desk.state(workspace)
    done = [stage for stage in STAGES if stage in state.current]
    return {
        "id": workspace.name,
        "name": desk.name_of(workspace.name),
        "stage": done[-1] if done else None,
        "jobs": jobs,
        "version": "-".join(fp[:8] for fp in state.current.values()) or "0",
    }


def view(
    desk: Desk, workspace: Workspace, sketch: Sketch, jobs: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a workspace for the page that shows it. All positions are in aligned pixels."""
    made = {stage: desk.current(workspace, stage) for stage in STAGES}
    aligned, tuned, dragged = made["align"], made["tune"], made["drag"]
    return {
        "id": workspace.name,
        "name": desk.name_of(workspace.name),
        "jobs": jobs,
        "interrupted": None if sketch.running in jobs else sketch.running,
        "found": sketch.found,
        "photo": _photo(sketch, aligned),
        "face": None if aligned is None else _face(aligned),
        "made": {stage: artifact.fingerprint[:16] for stage, artifact in made.items() if artifact},
        "fidelity": {
            stage: artifact.info.get("fidelity")
            for stage, artifact in made.items()
            if artifact is not None and "fidelity" in artifact.info
        },
        "close_psnr": CLOSE_PSNR,
        "ready": tuned is not None,
        "edit": {
            **sketch.now.to_json(),
            "undo": sketch.now.what if sketch.can_undo else None,
            "redo": sketch.edits[sketch.at + 1].what if sketch.can_redo else None,
        },
        "drag": None if dragged is None else _drag(dragged),
        "settings": sketch.settings,
    }


def _photo(sketch: Sketch, aligned: Artifact | None) -> dict[str, Any] | None:
    """Tell the photo's size and its preview's, once they are known."""
    size = sketch.found["size"] if sketch.found else None
    if aligned is not None:
        size = aligned.info["photo_size"]
    if size is None:
        return None
    width, height = preview_size(*size)
    return {"width": size[0], "height": size[1], "shown_width": width, "shown_height": height}


def _face(aligned: Artifact) -> dict[str, Any]:
    return {
        "size": aligned.info["size"],
        "photo_to_aligned": aligned.info["photo_to_aligned"],
        "source": aligned.info["landmark_source"],
    }


def _drag(dragged: Artifact) -> dict[str, Any]:
    return {
        "stop": dragged.info["stop"],
        "stop_words": StopReason(dragged.info["stop"]).words,
        "steps": dragged.info["steps"],
        "distances": dragged.info["distances"],
        "tracks": _tracks(dragged),
    }


def _tracks(dragged: Artifact) -> list[list[list[float]]]:
    """Return where each handle went, thinned out."""
    from pipeline.stages.artifact_files import DRAG, read_tensors

    try:
        handles = read_tensors(dragged, DRAG)["handles"]
    except (OSError, ValueError):
        return []
    chosen = handles[spread(int(dragged.info["step"]) + 1, MAX_TRACK)]
    return [
        [[round(v, 2) for v in xy] for xy in track] for track in chosen.transpose(0, 1).tolist()
    ]
