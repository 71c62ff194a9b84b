"""What routes stand on: the studio of the app, and the workspace that an address names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

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

BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}
"""What OpenAPI says of a body that is no JSON."""
