"""All of it: from a photo to the photo edited."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.controls.directed import Directed
from pipeline.controls.likeness import Like
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import Workspace
from pipeline.jobs.drag import DragRequest, drag, has_encoder
from pipeline.jobs.prepare import align, invert, tune
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.progress import Job
from pipeline.settings.recipe import Recipe

if TYPE_CHECKING:
    from drag.points import PointsFile


def edit(
    photo: Path,
    points: PointsFile | None,
    recipe: Recipe,
    bench: Bench,
    *,
    parent: Path,
    folder: Path | None = None,
    landmarks: Path | None = None,
    controls: Mapping[str, float] | None = None,
    like: Like | None = None,
    directed: Directed | None = None,
) -> Job[tuple[Workspace, Artifact]]:
    """Do all of it, from the photo to the photo edited: by points, by names, or by both."""
    workspace = yield from begin(
        photo, recipe, bench, parent=parent, folder=folder, landmarks=landmarks, points=points
    )
    network = None
    if recipe.result.paste != "network":
        network = identify(recipe.network, bench)
    asked = DragRequest(points, controls=controls or {}, like=like, directed=directed)
    dragged = yield from drag(workspace, asked, recipe, bench, network)
    return workspace, dragged


def begin(
    photo: Path,
    recipe: Recipe,
    bench: Bench,
    *,
    parent: Path,
    folder: Path | None = None,
    landmarks: Path | None = None,
    points: PointsFile | None = None,
    start: Path | None = None,
) -> Job[Workspace]:
    """Do what a drag needs, and no more; arguments as of `invert`.

    The network's motion needs no tuning, and no projection where the network has an encoder;
    the network's pixels need both.
    """
    own_pixels = recipe.result.paste != "network"
    known = own_pixels and has_encoder(identify(recipe.network, bench).weights)
    job = align if known else partial(invert, start=start)
    workspace = yield from job(
        photo, recipe, bench, parent=parent, folder=folder, landmarks=landmarks, points=points
    )
    if not own_pixels:
        yield from tune([workspace], recipe, bench)
    return workspace
