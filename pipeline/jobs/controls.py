"""Controls of the face in a workspace: how far each can go, and the points that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.controls.likeness import Like, amounts_like
from pipeline.controls.presets import ControlsInvalid, checked
from pipeline.controls.table import CONTROLS
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import Workspace
from pipeline.jobs.claim import known_workspace
from pipeline.jobs.obtain import current
from pipeline.jobs.prepare import align
from pipeline.jobs.seen_faces import SeenFace, face_in
from pipeline.machine.bench import Bench
from pipeline.progress import Job, Notice
from pipeline.settings.recipe import Recipe

if TYPE_CHECKING:
    from pipeline.picture.gaze import Gaze
    from stylegan2.arrays import Float64Array

SAME = 0.05
"""A control's point this near to a point of the user's, by the eye distance, gives way to it."""

CROP = 256
"""Side of the crop in which another photo's face is looked at."""

LEAST = 0.005
"""Amounts below this are nothing."""


def control_table(workspace: Workspace, bench: Bench) -> Job[dict[str, dict[str, Any]]]:
    """Say for each control what the photo's face measures, and how far it can go from there."""
    from pipeline.controls.measures import eye_measures, measures, reach

    with (yield from workspace.lock()):
        aligned = yield from current(workspace, "align", bench)
        seen = face_in(workspace, aligned)
    found = measures(in_photo(seen.points, aligned))
    found.update(eye_measures(seen.eyes) if seen.eyes else {})
    table = {}
    for name, control in CONTROLS.items():
        low, high = reach(control, found, seen.eyes)
        measured = found.get(control.measure)
        present = None if measured is None else round(measured, 4)
        table[name] = {"present": present, "low": round(low, 2), "high": round(high, 2)}
    return table


def control_table_of(
    photo: Path, recipe: Recipe, bench: Bench, *, parent: Path
) -> Job[dict[str, dict[str, Any]]]:
    """Say the same of a photo: of its workspace in `parent`, which is made where there is none.

    A face that was cut out there is the one that counts, whatever the recipe says.
    """
    workspace = known_workspace(photo, parent)
    state = None if workspace is None else workspace.read_state()
    if workspace is None or state is None or state.request("align") is None:
        workspace = yield from align(photo, recipe, bench, parent=parent)
    return (yield from control_table(workspace, bench))


def face_of_photo(path: Path) -> Float64Array:
    """Find the 68 points of the largest face in a photo, [68, 2] in its pixels.

    Raises PhotoUnreadable and NoFaceFound.
    """
    import numpy as np

    from inversion.faces.alignment import align, aligned_to_photo, ffhq_quad, placed
    from inversion.faces.landmark_network import load_landmarker
    from inversion.faces.landmarks import choose_face, find_faces
    from inversion.faces.no_face import NoFaceFound
    from pipeline.picture.photo import read_photo

    pixels = read_photo(path).pixels
    try:
        face = choose_face(find_faces(pixels).faces, None)
    except NoFaceFound:
        raise NoFaceFound(
            f"No face was found in {path}; choose a photo in which one is seen from the front."
        ) from None
    quad = ffhq_quad(face)
    found = load_landmarker().landmarks68(align(pixels, quad, CROP).image)
    matrix = aligned_to_photo(quad, CROP)
    return placed(matrix, np.asarray(found, np.float64))


def in_photo(face: Float64Array, aligned: Artifact) -> Float64Array:
    """Bring points of the crop to the photo: there a tilted head is tilted."""
    import numpy as np

    from inversion.faces.alignment import placed

    to_photo = np.linalg.inv(np.array(aligned.info["photo_to_aligned"], np.float64))
    return placed(to_photo, face)


def place_controls(
    workspace: Workspace,
    amounts: Mapping[str, float],
    like: Like | None,
    aligned: Artifact,
    shown: Artifact | None,
    config: dict[str, Any],
    hints: dict[str, str],
) -> Job[None]:
    """Put the points of controls into a drag's request, after those of the user's own.

    What another photo's face shows is added to the amounts. Raises ControlsInvalid when there is no
    face, or nothing would move, and what `face_of_photo` raises.
    """
    import numpy as np

    from pipeline.controls.macros import points_of
    from pipeline.controls.measures import Frame, measures, reach

    seen = face_in(workspace, aligned, shown)
    face = seen.points
    seen_there = in_photo(face, aligned)
    found = measures(seen_there)
    wanted = dict(checked(amounts))
    if like is not None:
        other = face_of_photo(like.photo)
        for name, amount in amounts_like(seen_there, other, like.parts, like.strength).items():
            wanted[name] = min(max(wanted.get(name, 0.0) + amount, -1.0), 1.0)
    taken: dict[str, float] = {}
    for name, amount in wanted.items():
        control = CONTROLS[name]
        if control.looks and seen.eyes is None and amount:
            yield Notice(f"{name}: no iris is seen in these eyes, so they look where they do")
            continue
        low, high = reach(control, found, seen.eyes)
        taken[name] = round(min(max(amount, low), high), 4)
        if abs(taken[name] - amount) > LEAST:
            yield Notice(
                f"{name}: this face goes from {low:+.2f} to {high:+.2f}, so it stops at "
                f"{taken[name]:+.2f} instead of {amount:+.2f}"
            )
    taken = {name: amount for name, amount in taken.items() if abs(amount) > LEAST}
    own = config.get("points", [])
    if not taken and not own:
        if like is not None:
            raise ControlsInvalid(f"nothing would move: this face looks as in {like.photo} already")
        raise ControlsInvalid("nothing would move: give a control another amount than 0")
    same = SAME * Frame.of(face).scale
    points, follow = list(own), ["network"] * len(own)
    for each in points_of(face, taken):
        handle = each.point.handle
        if all(np.hypot(handle[0] - x, handle[1] - y) > same for x, y, *_ in own):
            points.append([*handle, *each.point.target])
            follow.append(each.follow)
    config.update(points=points, follow=follow, controls=taken)
    if (gaze := gaze_of(seen, taken)) is not None:
        config["gaze"] = gaze.to_json()
    hints["own_points"] = str(len(own))


def gaze_of(seen: SeenFace, taken: Mapping[str, float]) -> Gaze | None:
    """Say how eyes are to look by amounts of controls; None where nothing of it is asked."""
    from pipeline.picture.gaze import Gaze

    ways = {"across": 0.0, "up": 0.0}
    for name, amount in taken.items():
        control = CONTROLS[name]
        if control.looks is not None:
            ways[control.looks] += amount * (control.rise if amount > 0 else control.fall)
    if seen.eyes is None or not any(ways.values()):
        return None
    return Gaze(seen.eyes, round(ways["across"], 4), round(ways["up"], 4))
