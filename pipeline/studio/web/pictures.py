"""Routes that send pictures: those that the page shows, and those that a person takes home."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.jobs.film import Format
from pipeline.picture.closeup import closeup
from pipeline.studio import saving
from pipeline.studio.desk import Desk
from pipeline.studio.pictures import THUMBNAIL_SIDE, closeup_of, keep_preview
from pipeline.studio.sketch import studio_folder
from pipeline.studio.web.answers import FailureRoute
from pipeline.studio.web.depends import Of, OfStudio

routes = APIRouter(prefix="/api/workspaces/{name}", route_class=FailureRoute)

STAGE_OF = {"aligned": "align", "inverted": "invert", "tuned": "tune", "network": "drag"}

Name = Literal[
    "photo", "closeup", "thumbnail-before", "thumbnail", "result", "result-closeup",
    "aligned", "inverted", "tuned", "network",
]  # fmt: skip

MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4", "gif": "image/gif",
    "webp": "image/webp", "json": "application/json", "zip": "application/zip",
}  # fmt: skip


@routes.get("/pictures/{picture}")
def get_picture(studio: OfStudio, workspace: Of, picture: Name) -> FileResponse:
    """Send a picture as the page shows it; photo and result are scaled down."""
    if picture not in STAGE_OF:
        return FileResponse(_preview(studio.desk, workspace, picture))
    made = studio.desk.current(workspace, STAGE_OF[picture])
    if made is None:
        raise StageMissing(f"{workspace.name} has no {picture} picture yet")
    return FileResponse(made.path(workspace.picture(made, f"{picture}.png")))


def _preview(desk: Desk, workspace: Workspace, picture: Name) -> Path:
    """Make a preview of the photo or the result, of all of it or around the face."""
    source, tag = desk.photo(workspace), "original"
    result = desk.current(workspace, "result")
    if picture.startswith("result") and result is None:
        raise StageMissing(saving.NOTHING_YET)
    if result is not None and picture not in ("photo", "closeup", "thumbnail-before"):
        source = result.path(f"result.{result.request.config['result']['format']}")
        tag = result.fingerprint[:16]
    folder = studio_folder(workspace.folder)
    if picture.startswith("thumbnail"):
        align = desk.current(workspace, "align")  # a list shows the face, once it is known
        if align is None:
            return keep_preview(source, folder / f"thumbnail-{tag}.jpg", THUMBNAIL_SIDE)
        face = closeup(align.info["quad"], tuple(align.info["photo_size"]))
        kept = folder / f"thumbnail-{align.fingerprint[:16]}-{tag}.jpg"
        return keep_preview(source, kept, THUMBNAIL_SIDE, face)
    if not picture.endswith("closeup"):
        return keep_preview(source, folder / f"{picture}-{tag}.jpg")
    aligned = desk.aligned(workspace)
    part = closeup_of(aligned.info["quad"], tuple(aligned.info["photo_size"]))
    kept = folder / f"closeup-{aligned.fingerprint[:16]}-{tag}.jpg"
    return keep_preview(source, kept, part=part)


def _download(data: bytes, suffix: str) -> Response:
    headers = {"X-Suffix": suffix, "Cache-Control": "no-store"}
    return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)


@routes.get("/save/picture")
def save_picture(
    studio: OfStudio,
    workspace: Of,
    format: Literal["png", "jpg"] = "png",
    what: saving.What = "photo",
) -> Response:
    """Send the result in full size."""
    return _download(saving.picture(studio, workspace, format, what), format)


@routes.get("/save/animation")
def save_animation(
    studio: OfStudio, workspace: Of, format: Format = "mp4", annotated: bool = False
) -> Response:
    """Send the drag as a film."""
    return _download(saving.animation(studio, workspace, format, annotated), format)


@routes.get("/save/points")
def save_points(studio: OfStudio, workspace: Of) -> Response:
    """Send the points file."""
    return _download(*saving.points(studio, workspace))
