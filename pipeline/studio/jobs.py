"""The studio's jobs: what the command line does with one photo, asked for by the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drag.points import DragPoint, PointsFile, PointsInvalid, transform
from pipeline.disk.storage import replace_file, writing
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.jobs import drag as dragging
from pipeline.jobs import edit
from pipeline.jobs import prepare as preparing
from pipeline.jobs.claim import claim
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.progress import Job, Notice, Step, follow
from pipeline.studio.desk import NO_POINT_YET, Desk, at_once
from pipeline.studio.edits import replace_points
from pipeline.studio.pictures import file_format
from pipeline.studio.sketch import mask_path, studio_folder
from stylegan2.hashing import file_sha256

LANDMARKS = "landmarks.json"


def take_photo(desk: Desk, upload: Path, name: str) -> tuple[Workspace, bool]:
    """Give an uploaded photo its workspace; tells also whether it was made just now.

    The workspace is named after the upload, the file in it is not. Raises PhotoUnreadable, which
    calls the photo by that name.
    """
    from pipeline.picture.photo import PhotoUnreadable

    named = upload.with_name(f"{safe_stem(name)}{file_format(upload)}")
    upload.rename(named)
    sha256 = file_sha256(named)
    with desk.taking:  # photos of one name that come at once get their names in turn
        known = desk.of_photo(sha256)
        if known is not None:  # it may be in use, which is no reason not to open it
            if _lacks_photo(desk, known, named):
                _keep(known, named)
            return known, False
        try:
            claimed = follow(claim(named, desk.root), at_once)
        except PhotoUnreadable as error:
            raise PhotoUnreadable(name, error.reason) from None
        workspace = claimed.workspace
        with claimed.held, claimed.kept_if_it_comes_to_something():
            if claimed.fresh:
                workspace.save_photo(_keep(workspace, named), sha256)
    return workspace, claimed.fresh


def _lacks_photo(desk: Desk, workspace: Workspace, upload: Path) -> bool:
    """Say whether a workspace was left without its photo: the upload itself will go."""
    try:
        return desk.photo(workspace) == upload
    except StageMissing:
        return True


def _keep(workspace: Workspace, upload: Path) -> Path:
    """Keep a copy of an upload in its workspace, and return where."""
    kept = studio_folder(workspace.folder) / f"original{upload.suffix}"
    with writing(workspace.folder):
        replace_file(kept, upload.read_bytes())
    return kept


def safe_stem(name: str) -> str:
    """Make a file's stem of whatever an upload calls itself: letters, digits, "-" and "_"."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem).strip("-")
    return kept[:60] or "photo"


def find(desk: Desk, workspace: Workspace, bench: Bench) -> Job[None]:
    """Look for the faces in a photo; none is a finding, too."""
    from inversion.faces.landmarks import find_faces
    from inversion.faces.no_face import NoFaceFound
    from pipeline.picture.photo import cost_of, read_photo

    path = desk.photo(workspace)
    if (cost := cost_of(path)) is not None:
        yield Notice(cost)
    photo = read_photo(path)
    yield Step("faces", 0, 1, {})
    source = desk.recipe(workspace, desk.sketch(workspace, working=True)).align.landmark_source
    faces: list[dict[str, Any]] = []
    notices: tuple[str, ...] = ()
    try:
        found = find_faces(photo.pixels, source, bench.device, bench.downloading)
    except NoFaceFound:
        pass
    else:
        notices = found.notices
        faces = [
            {
                "box": [float(v) for v in face.box],
                "eyes_mouth": np.asarray(face.eyes_mouth, np.float64).tolist(),
            }
            for face in found.faces
        ]
    height, width = photo.pixels.shape[:2]
    plain = {"size": [width, height], "faces": faces, "notices": list(notices)}
    desk.change(workspace, found=plain)
    yield Step("faces", 1, 1, {})


def prepare(desk: Desk, workspace: Workspace, bench: Bench) -> Job[None]:
    """Cut out the face that the sketch names, and do what else a drag of it needs.

    What the command line has prepared, and nobody has chosen anew here, is left as it is.
    """
    sketch = desk.sketch(workspace, working=True)
    recipe = desk.recipe(workspace, sketch)
    if sketch.choice is not None or not desk.is_ready(workspace, sketch):
        landmarks = None
        if sketch.choice is not None and "landmarks" in sketch.choice:
            landmarks = keep_landmarks(workspace, sketch.choice["landmarks"])
        photo, folder = desk.photo(workspace), workspace.folder
        begun = edit.begin(
            photo, recipe, bench, parent=desk.root, folder=folder, landmarks=landmarks
        )
        yield from _with_given_points(desk, workspace, begun)
    elif recipe.result.paste == "network":
        yield from preparing.tune([workspace], recipe, bench)
    prepared = desk.aligned(workspace).fingerprint
    # Its own from now on, whichever network the studio is started with next time.
    desk.change(workspace, prepared=prepared, network=identify(recipe.network, bench).name)
    _set_given_points(desk, workspace)


def _with_given_points(desk: Desk, workspace: Workspace, job: Job[Workspace]) -> Job[None]:
    """Go on with a job, and set the points that came with a photo once its face is cut out."""
    waiting = bool(desk.sketch(workspace, working=True).given)
    with closing(job):
        for event in job:
            yield event
            if waiting and desk.current(workspace, "align") is not None:
                _set_given_points(desk, workspace)
                waiting = False


def _set_given_points(desk: Desk, workspace: Workspace) -> None:
    """Set the points that came with a photo, unless some have been set already."""
    sketch = desk.sketch(workspace)
    if not sketch.given:
        return
    desk.change(workspace, given=())
    if not sketch.now.points:
        matrix = np.array(desk.aligned(workspace).info["photo_to_aligned"], dtype=np.float64)
        aligned = [
            {end: list(transform(matrix, (x, y))) for end, (x, y) in pair.items()}
            for pair in sketch.given
        ]
        replace_points(desk, workspace, aligned)


def keep_landmarks(workspace: Workspace, landmarks: Mapping[str, Any]) -> Path:
    """Write landmarks that a person clicked as a landmarks file. Raises LandmarksInvalid."""
    from inversion.faces.landmarks_file import LandmarksInvalid, read_landmarks

    path = studio_folder(workspace.folder) / LANDMARKS
    with writing(workspace.folder):
        replace_file(path, json.dumps(landmarks).encode())
    try:
        read_landmarks(path)
    except LandmarksInvalid as error:
        words = f"these marks are not those of a face: {error.reason}"
        raise LandmarksInvalid(words, error.reason) from error
    return path


def drag(desk: Desk, workspace: Workspace, bench: Bench) -> Job[None]:
    """Drag the shown picture by its points, from where the last drag left it."""
    sketch = desk.sketch(workspace, working=True)
    now = sketch.now
    if not now.points and not now.controls:
        raise PointsInvalid(NO_POINT_YET)
    points = tuple(
        DragPoint((p["handle"][0], p["handle"][1]), (p["target"][0], p["target"][1]))
        for p in now.points
    )
    mask = None if now.mask is None else mask_path(workspace.folder, now.mask)
    points_file = PointsFile("aligned", points, mask)
    # The page itself shows which points may drift.
    asked = dragging.DragRequest(
        points_file, continued=now.drag is not None, warn=False, controls=now.controls
    )
    recipe = desk.recipe(workspace, sketch)
    if recipe.result.paste == "network" and desk.current(workspace, "tune") is None:
        yield from prepare(desk, workspace, bench)  # the setting has been changed since
    known = any(desk.current(workspace, stage) for stage in ("invert", "drag"))
    network = None if known else identify(recipe.network, bench)
    dragged = yield from dragging.drag(workspace, asked, recipe, bench, network)
    with desk.lock:
        done = replace(desk.after_drag(workspace, dragged, "drag", now.points), mask=now.mask)
        kept = desk.sketch(workspace, working=True)
        made = tuple(dict.fromkeys((*kept.made, dragged.fingerprint)))
        desk.save(workspace, replace(kept, made=made).edited(done))
