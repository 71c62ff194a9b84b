"""The page's sliders: how far the shown face can follow each control, and what a setting moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from drag.points import DragPoint
from pipeline.controls.likeness import Like, amounts_like, checked_parts
from pipeline.controls.presets import DECIMALS, ControlsInvalid, checked
from pipeline.controls.table import CONTROLS, SIDES, SYMMETRICAL
from pipeline.disk.workspace import Workspace
from pipeline.jobs.seen_faces import SeenFace
from pipeline.studio.desk import Desk
from pipeline.studio.landmarks import FaceLandmarks
from pipeline.studio.sketch import Sketch, mask_path
from stylegan2.arrays import BoolImage, Float32Array
from stylegan2.sizes import Size, sides

SIDE = 128
"""Of the grid on which a preview is worked out."""


ALIKE = 0.1
"""Sides that differ by less than this go together."""


def change_controls(desk: Desk, workspace: Workspace, amounts: Mapping[str, float]) -> Sketch:
    """Set the controls in place of what was set. Raises ControlsInvalid, StageMissing."""
    kept = {name: amount for name, amount in checked(amounts).items() if amount}
    desk.aligned(workspace)
    return desk.edit(workspace, "controls", controls=kept)


def change_like(
    desk: Desk, landmarks: FaceLandmarks, workspace: Workspace, like: Like, name: str
) -> Sketch:
    """Set the controls of some parts to what another photo's face shows; others stay as set.

    name is what the photo is called. Raises ControlsInvalid, also without a face of its own,
    NoFaceFound, PhotoUnreadable, StageMissing.
    """
    from pipeline.jobs.controls import face_of_photo, in_photo
    from pipeline.picture.photo import PhotoUnreadable

    parts = checked_parts(like.parts)
    seen = _shown(landmarks, workspace)
    if seen is None or not parts:
        raise ControlsInvalid("another photo's expression needs a face, and a part of it")
    try:
        other = face_of_photo(like.photo)
    except PhotoUnreadable as error:
        raise PhotoUnreadable(name, error.reason) from None
    own = in_photo(seen.points, desk.aligned(workspace))
    found = with_both_sides(amounts_like(own, other, parts, like.strength))
    kept = {
        control: amount
        for control, amount in desk.sketch(workspace).now.controls.items()
        if CONTROLS[control].part not in parts
    }
    return change_controls(desk, workspace, {**kept, **found})


def with_both_sides(amounts: Mapping[str, float]) -> dict[str, float]:
    """Put what both sides of a face do alike into the control of both, for which there is a slider.

    What one side does beyond that stays with it, unless it is next to nothing.
    """
    found = dict(amounts)
    for whole, (left, right) in SIDES.items():
        one, other = found.pop(left, 0.0), found.pop(right, 0.0)
        shared = min(one, other, key=abs) if one * other > 0 else 0.0
        rest = {whole: shared, left: one - shared, right: other - shared}
        if max(abs(rest[left]), abs(rest[right])) < ALIKE:
            rest = {whole: (one + other) / 2}
        found.update({each: round(amount, DECIMALS) for each, amount in rest.items() if amount})
    return found


def ranges(desk: Desk, landmarks: FaceLandmarks, workspace: Workspace) -> list[dict[str, Any]]:
    """Return each control of the whole face with its part, and from where to where it can go.

    Nothing for a picture that was taken as it is. Raises StageMissing.
    """
    seen = _shown(landmarks, workspace)
    if seen is None:
        return []
    reached = _reached(desk, workspace, seen)
    return [
        {"name": each.name, "part": each.part, "low": round(low, 3), "high": round(high, 3)}
        for each in SYMMETRICAL
        for low, high in [reached[each.name]]
    ]


def preview(
    desk: Desk, landmarks: FaceLandmarks, workspace: Workspace, amounts: Mapping[str, float]
) -> Float32Array | None:
    """Return a field that shows roughly what amounts do, with the points that are set.

    The generator is not asked, as for points that have just been moved. None without a face.
    Raises ControlsInvalid, StageMissing.
    """
    from pipeline.controls.macros import points_of
    from pipeline.jobs.controls import gaze_of
    from pipeline.picture.brush import plain_motion

    seen = _shown(landmarks, workspace)
    if seen is None:
        return None
    reached = _reached(desk, workspace, seen)
    taken = {
        name: min(max(amount, reached[name][0]), reached[name][1])
        for name, amount in checked(amounts).items()
    }
    found = points_of(seen.points, taken)
    now = desk.sketch(workspace).now
    around = [
        DragPoint((p["handle"][0], p["handle"][1]), (p["target"][0], p["target"][1]))
        for p in now.points
    ]
    around += [each.point for each in found if each.follow != "near"]
    near = [each.point for each in found if each.follow == "near"]
    size = desk.aligned(workspace).info["size"]
    mask = _mask(workspace, now.mask, size)
    motion = plain_motion(around, size, mask, near, n=SIDE)
    gaze = gaze_of(seen, taken)
    return (motion if gaze is None else motion.after(gaze.motion(size, 1.0, SIDE, mask))).way


def _shown(landmarks: FaceLandmarks, workspace: Workspace) -> SeenFace | None:
    found = landmarks.of(workspace)
    return SeenFace(np.array(found, np.float64), landmarks.eyes(workspace)) if found else None


def _reached(desk: Desk, workspace: Workspace, seen: SeenFace) -> dict[str, tuple[float, float]]:
    from pipeline.controls.measures import reaches
    from pipeline.jobs.controls import in_photo

    return reaches(in_photo(seen.points, desk.aligned(workspace)), seen.eyes)


def _mask(workspace: Workspace, mask: str | None, size: Size) -> BoolImage | None:
    if mask is None:
        return None
    from drag.masks import decode_mask

    with mask_path(workspace.folder, mask).open("rb") as png:
        return decode_mask(png, sides(size)[::-1], "the aligned face")
