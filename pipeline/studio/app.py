"""The HTTP face of the studio."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.websockets import WebSocketDisconnect, WebSocketState

from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.failures import BUG, REPORT, failure_of, to_json
from pipeline.jobs.demo import write_demo
from pipeline.machine.devices import versions
from pipeline.studio import saving
from pipeline.studio.animate import Format
from pipeline.studio.desk import settings_schema
from pipeline.studio.guard import Guard
from pipeline.studio.hub import Mailbox
from pipeline.studio.jobs import take_photo
from pipeline.studio.pictures import THUMBNAIL_SIDE, keep_preview
from pipeline.studio.sketch import keep_mask, mask_path, studio_folder
from pipeline.studio.studio import Studio
from pipeline.studio.view import summary
from pipeline.studio.worker import StudioBusy
from stylegan2.embedded import EMBEDDED

STATIC = Path(__file__).parent / "static"

MAX_UPLOAD = 256 * 1024 * 1024
"""Bytes that a photo may have."""

MAX_BODY = 4 * 1024 * 1024
"""Bytes that anything else may have."""

MAX_POINTS = 200

XY = Annotated[list[float], Field(min_length=2, max_length=2)]


class UploadTooLarge(Exception):
    """What was sent has too many bytes."""


class Strict(BaseModel):
    """A body in which unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Pair(Strict):
    """A handle and where it should go, in pixels of the aligned face."""

    handle: XY
    target: XY


class Points(Strict):
    """All points, and in words what was done to them."""

    points: Annotated[list[Pair], Field(max_length=MAX_POINTS)]
    what: Annotated[str, Field(max_length=80)] = "Points"


class Landmarks(Strict):
    """Eyes and mouth corners in pixels of the photo."""

    eyes: Annotated[list[XY], Field(min_length=2, max_length=2)]
    mouth: Annotated[list[XY], Field(min_length=2, max_length=2)]


class Choice(Strict):
    """How the face is taken: one of those found, marked by hand, or the whole picture.

    Nothing of it takes up again what was chosen before.
    """

    face: Annotated[int, Field(ge=1, le=1000)] | None = None
    landmarks: Landmarks | None = None
    align: Literal["none"] | None = None


class Action(Strict):
    """What a running job is to do."""

    action: Literal["pause", "continue", "stop"]


class Held(BaseModel):
    """How well a handle can be told from its surroundings: if little, it may drift.

    better is then a point nearby that holds better, if there is one. All in pixels of the aligned
    face.
    """

    handle: XY
    distinctness: float
    may_drift: bool
    better: XY | None


class FailureRoute(APIRoute):
    """Answers a failure of the one table with its status and message."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def answering(request: Request) -> Response:
            try:
                return await handle(request)
            except (HTTPException, RequestValidationError):
                raise
            except Exception as error:
                failure = failure_of(error)
                if failure.exit_code == BUG:
                    raise
                return JSONResponse(to_json(error), failure.http_status)

        return answering


def create_app(
    root: Path, token: str, port: int, *, network: str = EMBEDDED, device: str = "auto"
) -> FastAPI:
    """Build the studio of the photos in a folder, behind its door."""
    studio = Studio(root, network, device)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(studio.close)

    app = FastAPI(
        title="realdrag studio",
        version=versions().get("realdrag", "0"),
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.studio = studio
    app.add_middleware(Guard, token=token, port=port)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _bug)
    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def _error(kind: str, message: str, status: int) -> JSONResponse:
    return JSONResponse({"event": "error", "kind": kind, "message": message}, status)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _error("RequestInvalid", f"{place}: {first['msg']}", 422)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error("Refused", str(error.detail), error.status_code)


async def _bug(request: Request, error: Exception) -> Response:
    return _error("Bug", f"{type(error).__name__}: {error}. {REPORT}", 500)


routes = APIRouter(route_class=FailureRoute)


def the_studio(request: Request) -> Studio:
    """Return the studio of the app."""
    studio: Studio = request.app.state.studio
    return studio


OfStudio = Annotated[Studio, Depends(the_studio)]


def the_workspace(studio: OfStudio, name: str) -> Workspace:
    """Open the workspace that the address names. Raises WorkspaceUnknown."""
    return studio.desk.workspace(name)


Of = Annotated[Workspace, Depends(the_workspace)]


# ------------------------------------------------------------------------------------ the page


@routes.get("/", include_in_schema=False)
def page() -> FileResponse:
    """Give the page."""
    return FileResponse(STATIC / "index.html")


@routes.get("/api/studio")
def about(studio: OfStudio) -> dict[str, Any]:
    """Tell what the page needs once."""
    return {
        "folder": studio.desk.root.name,
        "network": studio.desk.network,
        "max_upload": MAX_UPLOAD,
        "settings": settings_schema(),
    }


@routes.get("/api/workspaces")
def list_workspaces(studio: OfStudio) -> list[dict[str, Any]]:
    """List the photos, the one used last first."""
    return [
        summary(studio.desk, workspace, studio.job(workspace.name))
        for workspace in studio.desk.all()
    ]


BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}


async def body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Give a request's body piece by piece. Raises UploadTooLarge."""
    message = f"this is larger than {limit // 2**20} MB: make it smaller first"
    with suppress(ValueError):
        if int(request.headers.get("content-length", "0")) > limit:
            raise UploadTooLarge(message)
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise UploadTooLarge(message)
        yield chunk


@routes.post("/api/workspaces", status_code=201, openapi_extra=BYTES)
async def add_photo(
    request: Request, studio: OfStudio, name: Annotated[str, Query(max_length=255)] = "photo"
) -> dict[str, Any]:
    """Take a photo, and begin to look for faces in it."""
    from pipeline.picture.photo import PhotoUnreadable

    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        upload = Path(folder) / "upload"
        with upload.open("wb") as file:
            async for chunk in body(request, MAX_UPLOAD):
                await run_in_threadpool(file.write, chunk)
        try:
            workspace, fresh = await run_in_threadpool(take_photo, studio.desk, upload, name)
        except PhotoUnreadable as error:
            words = str(error)
            for path in sorted(Path(folder).glob("*"), reverse=True):
                words = words.replace(str(path), name or "This file")
            raise PhotoUnreadable(words.replace(str(upload), name)) from None
    with suppress(Exception):  # looking for faces can be asked for again
        if fresh:
            await run_in_threadpool(studio.find, workspace)
    studio.hub.tell_all("list", {})
    return {"id": workspace.name, "fresh": fresh}


@routes.post("/api/demo", status_code=201)
def add_demo(studio: OfStudio) -> dict[str, Any]:
    """Take the portrait that comes along, and begin to look for its face."""
    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        portrait, _ = write_demo(Path(folder))
        workspace, fresh = take_photo(studio.desk, portrait, portrait.name)
    with suppress(StudioBusy):  # looking for faces can be asked for again
        if fresh:
            studio.find(workspace)
    studio.hub.tell_all("list", {})
    return {"id": workspace.name, "fresh": fresh}


# ------------------------------------------------------------------------------- one workspace


@routes.get("/api/workspaces/{name}")
def show(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Describe a workspace."""
    return studio.view(workspace)


@routes.post("/api/workspaces/{name}/faces", status_code=202)
def find_faces(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Look for faces in the photo."""
    studio.find(workspace)
    return studio.view(workspace)


@routes.post("/api/workspaces/{name}/prepare", status_code=202)
def prepare(studio: OfStudio, workspace: Of, choice: Choice) -> dict[str, Any]:
    """Align, project and tune."""
    plain = choice.model_dump(exclude_none=True)
    if len(plain) > 1:
        raise HTTPException(422, "choose one of face, landmarks and align")
    studio.prepare(workspace, plain or None)
    return studio.view(workspace)


@routes.post("/api/workspaces/{name}/drag", status_code=202)
def drag(studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Begin to drag by the present points."""
    if not studio.desk.sketch(workspace, working=studio.job(workspace.name) is not None).now.points:
        raise StageMissing("there is no point yet: drag from where it is to where it should go")
    if studio.desk.current(workspace, "tune") is None:
        raise StageMissing("this photo is not tuned yet")
    studio.drag(workspace)
    return studio.view(workspace)


@routes.post("/api/workspaces/{name}/job")
def steer(studio: OfStudio, workspace: Of, asked: Action) -> dict[str, Any]:
    """Pause, continue or stop what runs."""
    studio.steer(workspace, asked.action)
    return studio.view(workspace)


@routes.put("/api/workspaces/{name}/points")
def put_points(studio: OfStudio, workspace: Of, asked: Points) -> dict[str, Any]:
    """Replace the points."""
    studio.idle(workspace)
    pairs = [pair.model_dump() for pair in asked.points]
    studio.desk.check_points(workspace, pairs)
    studio.desk.edit(workspace, asked.what, points=tuple(pairs))
    return studio.broadcast(workspace)


@routes.get("/api/workspaces/{name}/hold")
def check_hold(studio: OfStudio, workspace: Of) -> list[Held]:
    """Tell which of the present points may drift on the shown face, and where they would not."""
    studio.idle(workspace)
    points = studio.desk.sketch(workspace).now.points
    return [Held(**each) for each in studio.holds.check(workspace, points)]


@routes.put("/api/workspaces/{name}/mask", openapi_extra=BYTES)
async def put_mask(request: Request, studio: OfStudio, workspace: Of) -> dict[str, Any]:
    """Replace the mask: a PNG of the aligned face's size, white where it may change.

    An empty body takes the mask away.
    """
    png = b"".join([chunk async for chunk in body(request, MAX_BODY)])

    def work() -> dict[str, Any]:
        studio.idle(workspace)
        grey = studio.desk.check_mask(workspace, png)
        mask = None if grey is None else keep_mask(workspace.folder, grey)
        studio.desk.edit(workspace, "Area", mask=mask)
        return studio.broadcast(workspace)

    return await run_in_threadpool(work)


@routes.get("/api/workspaces/{name}/mask")
def get_mask(studio: OfStudio, workspace: Of) -> FileResponse:
    """Give the mask."""
    mask = studio.desk.sketch(workspace, working=studio.job(workspace.name) is not None).now.mask
    if mask is None:
        raise HTTPException(404, "there is no mask: everything may change")
    return FileResponse(mask_path(workspace.folder, mask), media_type="image/png")


@routes.post("/api/workspaces/{name}/{step}")
def go(studio: OfStudio, workspace: Of, step: Literal["undo", "redo", "reset"]) -> dict[str, Any]:
    """Undo, redo, or go back to the tuned picture."""
    studio.idle(workspace)
    if step == "reset":
        studio.desk.reset(workspace)
    else:
        studio.desk.go(workspace, -1 if step == "undo" else 1)
    return studio.broadcast(workspace)


@routes.put("/api/workspaces/{name}/settings")
def put_settings(studio: OfStudio, workspace: Of, settings: dict[str, Any]) -> dict[str, Any]:
    """Replace the settings; what is left out takes its default."""
    if "align" in settings or "network" in settings:
        raise HTTPException(422, "face and network are not chosen here")
    studio.change_settings(workspace, settings)
    return studio.broadcast(workspace)


# ------------------------------------------------------------------------------------ pictures

STAGE_OF = {"aligned": "align", "inverted": "invert", "tuned": "tune", "edited": "drag"}


@routes.get("/api/workspaces/{name}/pictures/{picture}")
def get_picture(
    studio: OfStudio,
    workspace: Of,
    picture: Literal["photo", "thumbnail", "result", "aligned", "inverted", "tuned", "edited"],
) -> FileResponse:
    """Give a picture as the page shows it; photo and result are scaled down."""
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
        side = {"side": THUMBNAIL_SIDE} if picture == "thumbnail" else {}
        return FileResponse(keep_preview(source, folder / f"{picture}-{tag}.jpg", **side))
    made = desk.current(workspace, STAGE_OF[picture])
    if made is None:
        raise StageMissing(f"{workspace.name} has no {picture} picture yet")
    return FileResponse(made.path(workspace.picture(made, f"{picture}.png")))


def _download(workspace: Workspace, data: bytes, suffix: str) -> Response:
    kinds = {
        "png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4", "gif": "image/gif",
        "webp": "image/webp", "json": "application/json", "zip": "application/zip",
    }  # fmt: skip
    headers = {"X-Suffix": suffix, "Cache-Control": "no-store"}
    return Response(data, media_type=kinds[suffix], headers=headers)


@routes.get("/api/workspaces/{name}/save/picture")
def save_picture(
    studio: OfStudio,
    workspace: Of,
    format: Literal["png", "jpg"] = "png",
    space: Literal["photo", "crop"] = "photo",
) -> Response:
    """Give the result in full size."""
    data = saving.picture(studio, workspace, format, space == "crop")
    return _download(workspace, data, format)


@routes.get("/api/workspaces/{name}/save/animation")
def save_animation(
    studio: OfStudio,
    workspace: Of,
    format: Format = "mp4",
    annotated: bool = False,
) -> Response:
    """Give the drag as a film."""
    data = saving.animation(studio, workspace, format, annotated)
    return _download(workspace, data, format)


@routes.get("/api/workspaces/{name}/save/points")
def save_points(studio: OfStudio, workspace: Of) -> Response:
    """Give the points file."""
    data, suffix = saving.points(studio, workspace)
    return _download(workspace, data, suffix)


# ---------------------------------------------------------------------------------------- live


@routes.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Send what happens; the page says which workspace it shows, and when it has drawn."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    mailbox = Mailbox(asyncio.get_running_loop())
    studio.hub.join(mailbox)
    sender = asyncio.create_task(_send(socket, mailbox))
    try:
        # A page that is gone may show in sending first.
        while socket.application_state is WebSocketState.CONNECTED:
            said = json.loads(await socket.receive_text())
            if not isinstance(said, dict):
                continue
            if "watch" in said:
                name = said["watch"] if isinstance(said["watch"], str) else None
                await run_in_threadpool(studio.show_to, mailbox, name)
            elif said.get("drawn"):
                mailbox.drawn()
    except (WebSocketDisconnect, ValueError, KeyError):
        pass
    finally:
        studio.hub.leave(mailbox)
        sender.cancel()


async def _send(socket: WebSocket, mailbox: Mailbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while messages := await mailbox.take():
            for message in messages:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message)
        await socket.close()
