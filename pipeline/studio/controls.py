"""The page's sliders: how far the shown face can follow each control, and what a setting moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drag.points import DragPoint
from pipeline.controls.presets import checked
from pipeline.controls.table import CONTROLS
from pipeline.disk.workspace import Workspace
from pipeline.studio.desk import Desk
from pipeline.studio.landmarks import FaceLandmarks
from pipeline.studio.sketch import Sketch, mask_path
from stylegan2.arrays import BoolImage, Float32Array, Float64Array

SIDE = 128
"""Of the grid on which a preview is worked out."""


def change_controls(desk: Desk, workspace: Workspace, amounts: Mapping[str, float]) -> Sketch:
    """Set the controls in place of what was set. Raises ControlsInvalid, StageMissing."""
    kept = {name: amount for name, amount in checked(amounts).items() if amount}
    desk.aligned(workspace)
    return desk.edit(workspace, "controls", controls=kept)


def ranges(desk: Desk, landmarks: FaceLandmarks, workspace: Workspace) -> list[dict[str, Any]]:
    """Return each control of the whole face with its part, and from where to where it can go.

    Nothing for a picture that was taken as it is. Raises StageMissing.
    """
    face = _shown(landmarks, workspace)
    if face is None:
        return []
    reached = _reached(desk, workspace, face)
    return [
        {"name": name, "part": CONTROLS[name].part, "low": round(low, 3), "high": round(high, 3)}
        for name, (low, high) in reached.items()
        if not name.endswith(("_left", "_right"))
    ]


def preview(
    desk: Desk, landmarks: FaceLandmarks, workspace: Workspace, amounts: Mapping[str, float]
) -> Float32Array | None:
    """Return a field that shows roughly what amounts do, with the points that are set.

    The generator is not asked, as for points that have just been moved. None without a face.
    Raises ControlsInvalid, StageMissing.
    """
    from pipeline.controls.macros import points_of
    from pipeline.picture.brush import plain_motion

    face = _shown(landmarks, workspace)
    if face is None:
        return None
    reached = _reached(desk, workspace, face)
    taken = {
        name: min(max(amount, reached[name][0]), reached[name][1])
        for name, amount in checked(amounts).items()
    }
    found = points_of(face, taken)
    now = desk.sketch(workspace).now
    around = [
        DragPoint((p["handle"][0], p["handle"][1]), (p["target"][0], p["target"][1]))
        for p in now.points
    ]
    around += [each.point for each in found if each.follow != "near"]
    near = [each.point for each in found if each.follow == "near"]
    size = int(desk.aligned(workspace).info["size"])
    return plain_motion(around, size, _mask(workspace, now.mask, size), near, SIDE).way


def _shown(landmarks: FaceLandmarks, workspace: Workspace) -> Float64Array | None:
    found = landmarks.of(workspace)
    return np.array(found, np.float64) if found else None


def _reached(
    desk: Desk, workspace: Workspace, face: Float64Array
) -> dict[str, tuple[float, float]]:
    from pipeline.controls.measures import reaches
    from pipeline.jobs.controls import in_photo

    return reaches(in_photo(face, desk.aligned(workspace)))


def _mask(workspace: Workspace, mask: str | None, size: int) -> BoolImage | None:
    if mask is None:
        return None
    from drag.masks import decode_mask

    with mask_path(workspace.folder, mask).open("rb") as png:
        return decode_mask(png, (size, size), "the aligned face")
