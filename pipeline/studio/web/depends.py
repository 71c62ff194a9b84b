"""What routes stand on: the studio of the app, and the workspace that an address names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from pipeline.disk.workspace import Workspace
from pipeline.studio.studio import Studio


def the_studio(request: Request) -> Studio:
    """Return the studio of the app."""
    studio: Studio = request.app.state.studio
    return studio


OfStudio = Annotated[Studio, Depends(the_studio)]


def the_workspace(studio: OfStudio, name: str) -> Workspace:
    """Open the workspace that the address names. Raises WorkspaceUnknown."""
    return studio.desk.workspace(name)


Of = Annotated[Workspace, Depends(the_workspace)]


async def received(request: Request, folder: Path) -> Path:
    """Write what is being sent into a folder, and return where."""
    upload = folder / "upload"
    with upload.open("wb") as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
    return upload


BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}
"""What OpenAPI says of a body that is no JSON."""
