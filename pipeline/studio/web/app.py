"""The studio as a web application: its routes, behind its door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from pipeline.machine.devices import versions
from pipeline.studio.studio import Studio
from pipeline.studio.web import editing, live, photos, pictures
from pipeline.studio.web.answers import answer_errors
from pipeline.studio.web.guard import Guard, hosts_of
from pipeline.studio.web.limits import BodyLimits
from stylegan2.embedded import EMBEDDED


def create_app(
    root: Path,
    token: str,
    port: int,
    *,
    network: str = EMBEDDED,
    device: str = "auto",
    hosts: Iterable[str] = (),
) -> FastAPI:
    """Build the studio of the photos in a folder, behind its door.

    hosts are names besides this machine's own by which it may be called.
    """
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
    app.add_middleware(BodyLimits)
    # The outermost: nothing is read before it.
    app.add_middleware(Guard, token=token, port=port, hosts=hosts_of(port, hosts))
    answer_errors(app)
    for each in (photos, editing, pictures, live):
        app.include_router(each.routes)
    app.mount("/static", StaticFiles(directory=photos.STATIC))
    return app
