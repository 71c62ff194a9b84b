"""What a person takes home: the picture, the film of the drag, the points."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.jobs.film import Format, film
from pipeline.picture.closeup import closeup
from pipeline.picture.photo import Photo, read_photo
from pipeline.picture.photo_writer import write_photo
from pipeline.progress import Job
from pipeline.studio.desk import NO_POINT_YET, canonical_points
from pipeline.studio.sketch import mask_path, studio_folder
from pipeline.studio.studio import Studio
from pipeline.studio.tickets import Kind
from pipeline.studio.worker import StudioBusy

FILM_SECONDS = 600.0
"""Longest time to wait for a film."""

NOTHING_YET = "nothing has been dragged yet: set a point and press Start"


What = Literal["photo", "face", "compare"]

GAP = 8
"""Pixels of white between before and after."""


def picture(
    studio: Studio, workspace: Workspace, suffix: Literal["png", "jpg"], what: What
) -> bytes:
    """Return the edited photo, its face alone, or the face before and after, in full size.

    Raises StageMissing.
    """
    result = _current(studio, workspace, "result")
    asked = result.request.config["result"]
    path = result.path(f"result.{asked['format']}")
    if what == "photo" and asked["format"] == suffix:
        return path.read_bytes()
    photo = read_photo(studio.desk.photo(workspace))
    edited = replace(photo, pixels=read_photo(path).pixels)
    if what != "photo":
        part = closeup(studio.desk.aligned(workspace).info["quad"], edited.pixels.shape[1::-1])
        photo, edited = part.cut(photo), part.cut(edited)
    if what == "compare":
        gap = np.full((edited.pixels.shape[0], GAP, 3), 255, np.uint8)
        pixels = np.concatenate([photo.pixels, gap, edited.pixels], axis=1)
        edited = replace(edited, pixels=pixels, alpha=None)
    return _encoded(edited, suffix, asked)


def _current(studio: Studio, workspace: Workspace, stage: str) -> Artifact:
    made = studio.desk.current(workspace, stage)
    if made is None:
        raise StageMissing(NOTHING_YET)
    return made


def _encoded(photo: Photo, suffix: str, asked: Mapping[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"picture.{suffix}"
        write_photo(
            np.ascontiguousarray(photo.pixels),
            path,
            photo,
            keep_gps=asked["keep_gps"],
            strip_metadata=asked["strip_metadata"],
        )
        return path.read_bytes()


def points(studio: Studio, workspace: Workspace) -> tuple[bytes, str]:
    """Return the points file, with its mask in a ZIP when there is one, and the suffix."""
    now = studio.sketch(workspace).now
    if not now.points:
        raise StageMissing(NO_POINT_YET)
    plain = canonical_points(now.points, now.mask)
    if now.mask is None:
        return plain, "json"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.json", plain)
        archive.writestr("mask.png", mask_path(workspace.folder, now.mask).read_bytes())
    return buffer.getvalue(), "zip"


def animation(studio: Studio, workspace: Workspace, format: Format, annotated: bool) -> bytes:
    """Return the film of the drags so far; it is made once. Raises StageMissing, StudioBusy."""
    drag = _current(studio, workspace, "drag")
    kind = "annotated" if annotated else "clean"
    target = studio_folder(workspace.folder) / f"film-{drag.fingerprint[:16]}-{kind}.{format}"
    if not target.exists():
        _filmed(studio, workspace, format, annotated, target)
    return target.read_bytes()


def _filmed(
    studio: Studio, workspace: Workspace, format: Format, annotated: bool, target: Path
) -> None:
    """Let the worker make a film, and wait for it."""
    done = threading.Event()
    failed: list[Exception] = []

    def job() -> Job[None]:
        try:
            yield from film(workspace, studio.bench, format, annotated, target)
        except Exception as error:
            failed.append(error)  # it is raised where the film was asked for
        finally:
            done.set()

    studio.start(workspace, Kind.FILM, job)
    done.wait(FILM_SECONDS)
    if failed:
        raise failed[0]
    if not target.exists():
        raise StudioBusy("the film was stopped before it was ready")
