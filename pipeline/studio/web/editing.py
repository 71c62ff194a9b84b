"""Routes of one photo: its face, its points and its area, drags, history, settings."""

from __future__ import annotations

import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.controls.likeness import EXPRESSION, STRONGEST, Like
from pipeline.studio.controls import change_controls, change_like, preview, ranges
from pipeline.studio.edits import How, change_area, change_points, read_points_file, replace_points
from pipeline.studio.history import reset, undo_or_redo
from pipeline.studio.live_motion import packed
from pipeline.studio.sketch import mask_path
from pipeline.studio.web.answers import FailureRoute
from pipeline.studio.web.bodies import (
    Action,
    Amounts,
    Choice,
    Drift,
    NetworkChoice,
    Points,
    PointsChange,
)
from pipeline.studio.web.depends import BYTES, Of, OfStudio, received

routes = APIRouter(prefix="/api/workspaces/{name}", route_class=FailureRoute)


@routes.get("")
def show(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Describe a workspace."""
    return studio.view(workspace)


@routes.post("/faces", status_code=202)
def find_faces(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Look for faces in the photo."""
    studio.find(workspace)
    return studio.view(workspace)


@routes.post("/prepare", status_code=202)
def prepare(studio: OfStudio, workspace: Of, choice: Choice) -> dict[str, Any]:
    """Align, project and tune."""
    plain = choice.model_dump(exclude_none=True)
    if len(plain) > 1:
        raise HTTPException(422, "choose one of face, landmarks and align")
    studio.prepare(workspace, plain or None)
    return studio.view(workspace)


@routes.post("/network", status_code=202)
def choose_network(studio: OfStudio, workspace: Of, asked: NetworkChoice) -> dict[str, Any]:
    """Take another network for this photo; its face is prepared anew."""
    studio.choose_network(workspace, asked.network)
    return studio.view(workspace)


@routes.post("/drag", status_code=202)
def drag(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Begin to drag by the present points."""
    studio.drag(workspace)
    return studio.view(workspace)


@routes.post("/job")
def steer(studio: OfStudio, workspace: Of, asked: Action) -> dict[str, Any]:
    """Pause, continue or stop what runs."""
    studio.steer(workspace, asked.action)
    return studio.view(workspace)


@routes.put("/points")
def put_points(studio: OfStudio, workspace: Of, asked: Points) -> dict[str, Any]:
    """Replace the points."""
    studio.check_idle(workspace)
    replace_points(studio.desk, workspace, [pair.model_dump() for pair in asked.points])
    return studio.edited(workspace)


@routes.patch("/points")
def patch_points(studio: OfStudio, workspace: Of, asked: PointsChange) -> dict[str, Any]:
    """Put, move or take away single points; a drag that is paused ends with its picture."""
    studio.end_paused_drag(workspace)
    studio.check_idle(workspace)
    put = [pair.model_dump() for pair in asked.put]
    change_points(studio.desk, workspace, asked.what, put, asked.remove)
    return studio.edited(workspace)


@routes.post("/points/file")
def load_points(studio: OfStudio, workspace: Of, content: dict[str, Any]) -> dict[str, Any]:
    """Set the points of a points file, in pixels of the photo or of the aligned face."""
    studio.check_idle(workspace)
    read_points_file(studio.desk, workspace, content)
    return studio.edited(workspace)


@routes.get("/drift")
def check_drift(studio: OfStudio, workspace: Of) -> list[Drift]:
    """Tell which of the present points may drift on the shown face, and where they would not."""
    studio.check_idle(workspace)
    points = studio.desk.sketch(workspace).now.points
    return [Drift(**each) for each in studio.drift.check(workspace, points)]


@routes.get("/landmarks")
def show_landmarks(studio: OfStudio, workspace: Of) -> list[list[float]]:
    """Tell where the parts of the shown face are: 68 points in iBUG order, or none."""
    return studio.landmarks.of(workspace)


@routes.get("/controls")
def show_controls(studio: OfStudio, workspace: Of) -> list[dict[str, Any]]:
    """List the controls and from where to where each can go on the shown face."""
    return ranges(studio.desk, studio.landmarks, workspace)


@routes.put("/controls")
def put_controls(studio: OfStudio, workspace: Of, asked: Amounts) -> dict[str, Any]:
    """Set the controls."""
    studio.check_idle(workspace)
    change_controls(studio.desk, workspace, asked.controls)
    return studio.edited(workspace)


@routes.post("/controls/like", openapi_extra=BYTES)
async def put_likeness(
    request: Request,
    studio: OfStudio,
    workspace: Of,
    parts: Annotated[str, Query(max_length=100)] = ",".join(EXPRESSION),
    strength: Annotated[float, Query(ge=0, le=STRONGEST)] = 1.0,
    file: Annotated[str, Query(max_length=255)] = "photo",
) -> dict[str, Any]:
    """Set the controls of some parts, with commas between, so that they are as in another photo.

    The photo is the body, and is not kept.
    """

    def work(photo: Path) -> dict[str, Any]:
        studio.check_idle(workspace)
        like = Like(photo, tuple(part for part in parts.split(",") if part), strength)
        change_like(studio.desk, studio.landmarks, workspace, like, file)
        return studio.edited(workspace)

    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        return await run_in_threadpool(work, await received(request, Path(folder)))


@routes.post("/controls/preview")
def preview_controls(studio: OfStudio, workspace: Of, asked: Amounts) -> dict[str, Any] | None:
    """Tell how the photo moves with controls, roughly: a field as a drag sends with its pictures.

    Its way is base64, int16 little-endian.
    """
    way = preview(studio.desk, studio.landmarks, workspace, asked.controls)
    if way is None:
        return None
    head, data = packed(way)
    return {**head, "way": b64encode(data).decode()}


@routes.put("/mask", openapi_extra=BYTES)
async def put_mask(
    request: Request, studio: OfStudio, workspace: Of, how: How = "replace"
) -> dict[str, Any]:
    """Change the area: by a PNG of the aligned face's size, white where it may change.

    An empty body takes the area away.
    """
    png = await request.body()

    def work() -> dict[str, Any]:
        studio.check_idle(workspace)
        change_area(studio.desk, workspace, png, how)
        return studio.edited(workspace)

    return await run_in_threadpool(work)


@routes.get("/mask")
def get_mask(studio: OfStudio, workspace: Of) -> FileResponse:
    """Send the mask."""
    mask = studio.sketch(workspace).now.mask
    if mask is None:
        raise HTTPException(404, "there is no mask: everything may change")
    return FileResponse(mask_path(workspace.folder, mask), media_type="image/png")


@routes.post("/{step}")
def go(studio: OfStudio, workspace: Of, step: Literal["undo", "redo", "reset"]) -> dict[str, Any]:
    """Undo, redo, or go back to the tuned picture."""
    studio.check_idle(workspace)
    if step == "reset":
        reset(studio.desk, workspace)
    else:
        undo_or_redo(studio.desk, workspace, -1 if step == "undo" else 1)
    return studio.edited(workspace)


@routes.put("/settings")
def put_settings(studio: OfStudio, workspace: Of, settings: dict[str, Any]) -> dict[str, Any]:
    """Replace the settings; what is left out takes its default."""
    if "align" in settings or "network" in settings:
        raise HTTPException(422, "face and network are not chosen here")
    studio.change_settings(workspace, settings)
    return studio.broadcast(workspace)
