"""Routes that send pictures: those that the page shows, and those that a person takes home."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from pipeline.disk.workspace import StageMissing
from pipeline.studio import saving
from pipeline.studio.animate import Format
from pipeline.studio.pictures import THUMBNAIL_SIDE, keep_preview
from pipeline.studio.sketch import studio_folder
from pipeline.studio.web.answers import FailureRoute
from pipeline.studio.web.depends import Of, OfStudio

routes = APIRouter(prefix="/api/workspaces/{name}", route_class=FailureRoute)

STAGE_OF = {"aligned": "align", "inverted": "invert", "tuned": "tune", "edited": "drag"}

MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4", "gif": "image/gif",
    "webp": "image/webp", "json": "application/json", "zip": "application/zip",
}  # fmt: skip


@routes.get("/pictures/{picture}")
def get_picture(
    studio: OfStudio,
    workspace: Of,
    picture: Literal["photo", "thumbnail", "result", "aligned", "inverted", "tuned", "edited"],
) -> FileResponse:
    """Send a picture as the page shows it; photo and result are scaled down."""
    desk = studio.desk
    folder = studio_folder(workspace.folder)
    if picture == "photo":
        return FileResponse(keep_preview(desk.photo(workspace), folder / "photo.jpg"))
    result = desk.current(workspace, "result")
    if picture in ("result", "thumbnail"):
        if result is None and picture == "result":
            raise StageMissing(saving.NOTHING_YET)
        if result is None:
            source, tag = keep_preview(desk.photo(workspace), folder / "photo.jpg"), "photo"
        else:
            source = result.path(f"result.{result.request.config['result']['format']}")
            tag = result.fingerprint[:16]
        side: dict[str, Any] = {"side": THUMBNAIL_SIDE} if picture == "thumbnail" else {}
        return FileResponse(keep_preview(source, folder / f"{picture}-{tag}.jpg", **side))
    made = desk.current(workspace, STAGE_OF[picture])
    if made is None:
        raise StageMissing(f"{workspace.name} has no {picture} picture yet")
    return FileResponse(made.path(workspace.picture(made, f"{picture}.png")))


def _download(data: bytes, suffix: str) -> Response:
    headers = {"X-Suffix": suffix, "Cache-Control": "no-store"}
    return Response(data, media_type=MEDIA_TYPES[suffix], headers=headers)


@routes.get("/save/picture")
def save_picture(
    studio: OfStudio,
    workspace: Of,
    format: Literal["png", "jpg"] = "png",
    space: Literal["photo", "crop"] = "photo",
) -> Response:
    """Send the result in full size."""
    return _download(saving.picture(studio, workspace, format, space == "crop"), format)


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
