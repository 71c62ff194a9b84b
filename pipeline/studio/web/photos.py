"""Routes of the first page: the page itself, the list of photos, new ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import click
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.controls.likeness import EXPRESSION, PARTS, STRONGEST
from pipeline.jobs.demo import write_demo
from pipeline.studio.desk import settings_schema
from pipeline.studio.jobs import take_photo
from pipeline.studio.live_motion import ELASTIC
from pipeline.studio.networks import listed_network, listed_networks, network_id
from pipeline.studio.studio import Studio
from pipeline.studio.view import summary
from pipeline.studio.web.answers import FailureRoute
from pipeline.studio.web.bodies import NewName
from pipeline.studio.web.depends import BYTES, Of, OfStudio, received
from pipeline.studio.web.limits import MAX_UPLOAD

HERE = "127.0.0.1"

STATIC = Path(__file__).parents[1] / "static"

routes = APIRouter(route_class=FailureRoute)


@routes.get("/", include_in_schema=False)
def page() -> FileResponse:
    """Send the page."""
    return FileResponse(STATIC / "index.html")


@routes.get("/api/studio")
def about(request: Request, studio: OfStudio) -> dict[str, Any]:
    """Tell what the page needs once."""
    return {
        "folder": studio.desk.root.name,
        "network": network_id(studio.desk.network),
        "max_upload": MAX_UPLOAD,
        "elastic": ELASTIC,
        "likeness": {"parts": list(PARTS), "usual": list(EXPRESSION), "strongest": STRONGEST},
        "local": _is_local(request),
        "settings": settings_schema(),
    }


@routes.get("/api/networks")
def list_networks(studio: OfStudio) -> list[dict[str, Any]]:
    """List the networks that may be chosen, the studio's own first."""
    return [each.to_json() for each in listed_networks(studio.desk).values()]


@routes.get("/api/workspaces")
def list_workspaces(studio: OfStudio) -> list[dict[str, Any]]:
    """List the photos, the one used last first."""
    return [
        summary(studio.desk, workspace, studio.jobs(workspace.name))
        for workspace in studio.desk.all()
    ]


@routes.post("/api/workspaces", status_code=201, openapi_extra=BYTES)
async def add_photo(
    request: Request,
    studio: OfStudio,
    name: Annotated[str, Query(max_length=255)] = "photo",
    network: Annotated[str | None, Query(max_length=255)] = None,
) -> dict[str, Any]:
    """Take a photo, and begin to look for faces in it; network is the id of one of the list."""
    chosen = None if network is None else listed_network(studio.desk, network).recipe_name
    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        upload = await received(request, Path(folder))
        return await run_in_threadpool(_taken, studio, upload, name, (), chosen)


@routes.post("/api/demo", status_code=201)
def add_demo(
    studio: OfStudio, network: Annotated[str | None, Query(max_length=255)] = None
) -> dict[str, Any]:
    """Take the portrait that comes along, with points on it, and begin to look for its face."""
    chosen = None if network is None else listed_network(studio.desk, network).recipe_name
    with tempfile.TemporaryDirectory(prefix="realdrag-") as folder:
        portrait, points = write_demo(Path(folder))
        given = [{"handle": list(p.handle), "target": list(p.target)} for p in points.points]
        return _taken(studio, portrait, portrait.name, given, chosen)


@routes.post("/api/workspaces/{name}/rename")
def rename_photo(studio: OfStudio, workspace: Of, asked: NewName) -> dict[str, str]:
    """Give a photo another name."""
    return {"id": studio.rename(workspace, asked.name)}


@routes.delete("/api/workspaces/{name}")
def delete_photo(studio: OfStudio, workspace: Of) -> dict[str, str]:
    """Delete a photo's workspace with all that is in it."""
    studio.delete(workspace)
    return {"id": workspace.name}


def _is_local(request: Request) -> bool:
    """Tell whether a page is open on this machine, whose file manager can be shown to it."""
    return request.client is not None and request.client.host == HERE


@routes.post("/api/workspaces/{name}/reveal")
def reveal_photo(request: Request, workspace: Of) -> dict[str, str]:
    """Show a photo's workspace in the file manager of this machine."""
    if not _is_local(request):
        raise HTTPException(403, "the file manager can be shown on the studio's machine only")
    click.launch(str(workspace.folder), locate=True)
    return {"id": workspace.name}


def _taken(
    studio: Studio,
    upload: Path,
    name: str,
    given: Sequence[Mapping[str, Any]],
    network: str | None,
) -> dict[str, Any]:
    workspace, fresh = take_photo(studio.desk, upload, name)
    if fresh:
        studio.desk.change(workspace, given=tuple(given), network=network)
        studio.find(workspace)
    studio.hub.tell_all("list", {})
    return {"id": workspace.name, "fresh": fresh}
