"""What a photo goes through before it is dragged: aligned, inverted, tuned."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.disk.artifact import Artifact, Request, file_input
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.jobs.claim import claim
from pipeline.jobs.obtain import current, obtain
from pipeline.jobs.requests import (
    BEST_LANDMARKS_FIRST,
    BEST_PERCEPTUAL_FIRST,
    align_request,
    check_points,
    perceptual_name,
    settled,
)
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import NetworkIdentity, identify
from pipeline.progress import Job, Notice
from pipeline.settings.recipe import Recipe
from pipeline.settings.schema import config_to_json
from pipeline.stage_table import STAGES
from stylegan2.hashing import file_sha256

if TYPE_CHECKING:
    from drag.points import PointsFile


def align(
    photo: Path,
    recipe: Recipe,
    bench: Bench,
    *,
    parent: Path,
    folder: Path | None = None,
    landmarks: Path | None = None,
    points: PointsFile | None = None,
) -> Job[Workspace]:
    """Find the faces in a photo and cut one out, in the photo's own workspace.

    That lies below `parent`, or is `folder`; one that was made for it is taken away again when
    this fails. points, if given, are held against the alignment.
    """
    network = identify(recipe.network, bench)
    request = align_request(photo, network.size, recipe, landmarks)
    claimed = yield from claim(photo, parent, folder)
    with claimed.held:
        with claimed.kept_if_it_comes_to_something():
            aligned = yield from _aligned(claimed.workspace, request, bench)
            if points is not None:
                check_points(points, aligned)
        claimed.workspace.make_current(aligned)
    return claimed.workspace


def _aligned(workspace: Workspace, request: Request, bench: Bench) -> Job[Artifact]:
    """Obtain an alignment, by what found the face before where that is left open."""
    request = yield from settled(workspace, request, "landmark_source", BEST_LANDMARKS_FIRST)
    return (yield from obtain(workspace, request, bench))


def invert(
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
    """Align a photo and project it, in its own workspace below `parent` (or in `folder`).

    points, if given, are held against the alignment before the projection begins; when the
    alignment or they fail, a workspace that was made for it is taken away again. start is a file
    with latents for the network from which the projection goes on. Raises LatentsInvalid, too.
    """
    network = identify(recipe.network, bench)
    if start is not None:
        _check_start(start, network, bench)
    asked = align_request(photo, network.size, recipe, landmarks)
    claimed = yield from claim(photo, parent, folder)
    workspace = claimed.workspace
    with claimed.held:
        with claimed.kept_if_it_comes_to_something():
            aligned = yield from _aligned(workspace, asked, bench)
            config = {
                "weights": network.weights,
                "perceptual": perceptual_name(recipe.perceptual),
                "seed": recipe.seed,
                "projection": config_to_json(recipe.invert),
            }
            hints, inputs = {"network": network.name}, {"align": aligned.fingerprint}
            if start is not None:
                hints["start"] = str(start.resolve())
                inputs["start"] = file_input(file_sha256(start))
            request = Request.of(STAGES["invert"], config, inputs, hints)
            request = yield from settled(workspace, request, "perceptual", BEST_PERCEPTUAL_FIRST)
            if points is not None:
                fresh = (yield from workspace.find(request)) is None
                check_points(points, aligned, mask=fresh)
        workspace.make_current(aligned)
        inverted = yield from obtain(workspace, request, bench)
        workspace.make_current(inverted)
    return workspace


def _check_start(start: Path, network: NetworkIdentity, bench: Bench) -> None:
    """Read the latents once before anything is written. Raises LatentsInvalid."""
    from stylegan2.formats.latents import LatentsInvalid, read_latents

    if not start.is_file():
        raise LatentsInvalid(f"{start}: there is no such file")
    generator = bench.generator(network.name, network.weights)
    read_latents(start, generator.num_ws, generator.w_dim)


def tune(workspaces: Sequence[Workspace], recipe: Recipe, bench: Bench) -> Job[list[Artifact]]:
    """Tune one generator for the photos of all these workspaces, and keep it in each."""
    ordered = sorted({each.folder.resolve(): each for each in workspaces}.items())
    with ExitStack() as stack:
        # Always locked in the same order, so that two such commands cannot block each other.
        for _, workspace in ordered:
            stack.enter_context((yield from workspace.lock()))
        pairs = []
        for _, workspace in ordered:
            inverted = yield from current(workspace, "invert", bench)
            aligned = yield from current(workspace, "align", bench)
            pairs.append((inverted, aligned, workspace))
        pairs.sort(key=lambda pair: pair[0].fingerprint)
        first = pairs[0][0].request
        for inverted, _, workspace in pairs:
            if inverted.request.config["weights"] != first.config["weights"]:
                raise WorkspaceInvalid(
                    f"{workspace.name} was inverted with the network "
                    f"{inverted.request.hints['network']}, another with {first.hints['network']}: "
                    "photos can be tuned together only for one network"
                )
        perceptual = perceptual_name(recipe.perceptual)
        config = {
            "photos": len(pairs),
            "perceptual": first.config["perceptual"] if perceptual == "auto" else perceptual,
            "seed": recipe.seed,
            "tuning": config_to_json(recipe.tune),
        }
        inputs = {}
        for i, (inverted, aligned, _) in enumerate(pairs):
            inputs[f"invert.{i}"] = inverted.fingerprint
            inputs[f"align.{i}"] = aligned.fingerprint
        request = Request.of(STAGES["tune"], config, inputs)
        return (yield from _tune_once(request, pairs, bench))


def tune_together(
    photos: Sequence[Path], recipe: Recipe, bench: Bench, *, parent: Path
) -> Job[list[Workspace]]:
    """Project all these photos, each in its own workspace below `parent`, and tune one generator.

    A photo that cannot be read or shows no face is left out, with a notice; when all are, its
    error is raised. Returns the workspaces of the others.
    """
    from inversion.faces.no_face import NoFaceFound
    from pipeline.picture.photo import PhotoUnreadable

    workspaces: list[Workspace] = []
    failed: Exception | None = None
    for photo in photos:
        try:
            workspaces.append((yield from invert(photo, recipe, bench, parent=parent)))
        except (NoFaceFound, PhotoUnreadable) as error:
            yield Notice(f"{photo.name} is left out: {error}")
            failed = error
    if failed is not None and not workspaces:
        raise failed
    yield from tune(workspaces, recipe, bench)
    return workspaces


def _tune_once(
    request: Request, pairs: Sequence[tuple[Artifact, Artifact, Workspace]], bench: Bench
) -> Job[list[Artifact]]:
    """Tune in one of the workspaces, and copy the artifact to the others."""
    home = pairs[0][2]
    for _, _, workspace in pairs:
        if (yield from workspace.find(request)) is not None:
            home = workspace
            break
    for inverted, aligned, _ in pairs:
        home.lend(inverted)
        home.lend(aligned)
    tuned = yield from obtain(home, request, bench)
    kept = []
    for _, _, workspace in pairs:
        own = tuned if workspace is home else (yield from workspace.adopt(tuned))
        workspace.make_current(own)
        kept.append(own)
    return kept
