"""From a photo to its edit: what each command asks of a workspace, stage after stage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drag.config import DragConfig
from pipeline.disk.artifact import Artifact, Request
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.jobs.claim import claim
from pipeline.jobs.obtain import current, obtain
from pipeline.jobs.requests import (
    BEST_LANDMARKS_FIRST,
    BEST_PERCEPTUAL_FIRST,
    align_request,
    check_mask,
    drag_settings,
    perceptual_name,
    place_points,
    same_points,
    settled,
)
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import NetworkIdentity, identify
from pipeline.progress import Job
from pipeline.settings.recipe import Recipe
from pipeline.settings.schema import config_to_json
from pipeline.stage_table import STAGES

if TYPE_CHECKING:
    from drag.points import PointsFile


MOTION_FEATURES = 64
"""Side of the features in which a drag follows handles when it is the motion alone that counts."""


@dataclass(frozen=True)
class DragRequest:
    """What a drag is asked: points, or none to pull the last drag's points further.

    warn says whether to give notice of points that may drift.
    """

    points: PointsFile | None
    continued: bool = False
    warn: bool = True


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
    request = align_request(photo, network.resolution, recipe, landmarks)
    claimed = yield from claim(photo, parent, folder)
    with claimed.held:
        with claimed.kept_if_it_comes_to_something():
            aligned = yield from _aligned(claimed.workspace, request, bench)
            if points is not None:
                yield from place_points(points, aligned, {}, {}, {})
                check_mask(points, aligned)
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
) -> Job[Workspace]:
    """Align a photo and project it, in its own workspace below `parent` (or in `folder`).

    points, if given, are held against the alignment before the projection begins; when the
    alignment or they fail, a workspace that was made for it is taken away again.
    """
    network = identify(recipe.network, bench)
    asked = align_request(photo, network.resolution, recipe, landmarks)
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
            hints = {"network": network.name}
            request = Request.of(STAGES["invert"], config, {"align": aligned.fingerprint}, hints)
            request = yield from settled(workspace, request, "perceptual", BEST_PERCEPTUAL_FIRST)
            if points is not None:
                yield from place_points(points, aligned, {}, {}, {})
                if (yield from workspace.find(request)) is None:
                    check_mask(points, aligned)
        workspace.make_current(aligned)
        inverted = yield from obtain(workspace, request, bench)
        workspace.make_current(inverted)
    return workspace


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


def drag(
    workspace: Workspace,
    asked: DragRequest,
    recipe: Recipe,
    bench: Bench,
    network: NetworkIdentity | None = None,
) -> Job[Artifact]:
    """Drag the face, or the last result when continued, and put it into the photo.

    The tuned network is dragged if there is one, otherwise the network as it is: its motion is
    good all the same. A network that is named is dragged as it is in any case.
    """
    with (yield from workspace.lock()):
        aligned = yield from current(workspace, "align", bench)
        config: dict[str, Any] = {
            "drag": drag_settings(_for_motion(recipe, aligned.info["size"])),
            "size": aligned.info["size"],
            "moves": "network" if recipe.result.paste == "network" else "photo",
        }
        inputs = {"align": aligned.fingerprint}
        hints: dict[str, str] = {}
        yield from _stand(workspace, network, recipe, config, inputs, hints, bench)
        if asked.continued:
            before = yield from current(workspace, "drag", bench)
            inputs["from"] = before.fingerprint
            if asked.points is None:
                same_points(before, config, inputs, hints)
        if asked.points is not None:
            yield from place_points(asked.points, aligned, config, inputs, hints)
        elif not asked.continued:
            raise ValueError("a drag needs points unless it is continued")
        if asked.warn and asked.points is not None:
            hints["warn_in"] = asked.points.space
        dragged = yield from obtain(
            workspace, Request.of(STAGES["drag"], config, inputs, hints), bench
        )
        workspace.make_current(dragged)
        request = Request.of(
            STAGES["result"],
            {"result": config_to_json(recipe.result)},
            {"drag": dragged.fingerprint}
            | {name: inputs[name] for name in ("align", "tune") if name in inputs},
        )
        result = yield from obtain(workspace, request, bench)
        workspace.make_current(result)
        return dragged


def _stand(
    workspace: Workspace,
    network: NetworkIdentity | None,
    recipe: Recipe,
    config: dict[str, Any],
    inputs: dict[str, str],
    hints: dict[str, str],
    bench: Bench,
) -> Job[None]:
    """Say in a drag's request which network it drags, and from where in it."""
    state = yield from workspace.load_state()
    assert state is not None
    tuned = network is None and state.request("tune") is not None
    if tuned or recipe.result.paste == "network":
        for stage in ("invert", "tune"):
            inputs[stage] = (yield from current(workspace, stage, bench)).fingerprint
        return
    if network is None:
        known = state.request("invert") or state.request("drag")
        if known is None or "weights" not in known.config:
            yield from current(workspace, "invert", bench)  # raises: there is none
            raise WorkspaceInvalid(f"{workspace.name} does not say which network it is for")
        weights, name = known.config["weights"], known.hints["network"]
    else:
        weights, name = network.weights, network.name
    if _has_encoder(weights):
        config["weights"] = weights
        hints["network"] = name
    else:
        inputs["invert"] = (yield from current(workspace, "invert", bench)).fingerprint


def _has_encoder(weights: str) -> bool:
    from inversion.encoder_file import encoder_for

    return encoder_for(weights) is not None


def _for_motion(recipe: Recipe, size: int) -> DragConfig:
    """Follow handles coarsely where only the motion counts: it is as good and costs a quarter."""
    asked = recipe.drag
    chosen = asked.features is not None or size <= 2 * MOTION_FEATURES
    if recipe.result.paste == "network" or asked.method != "newton" or chosen:
        return asked
    return replace(asked, features=MOTION_FEATURES)


def edit(
    photo: Path,
    points: PointsFile,
    recipe: Recipe,
    bench: Bench,
    *,
    parent: Path,
    folder: Path | None = None,
    landmarks: Path | None = None,
) -> Job[tuple[Workspace, Artifact]]:
    """Do all of it, from the photo to the photo edited."""
    workspace = yield from begin(
        photo, recipe, bench, parent=parent, folder=folder, landmarks=landmarks, points=points
    )
    network = None
    if recipe.result.paste != "network":
        network = identify(recipe.network, bench)
    dragged = yield from drag(workspace, DragRequest(points), recipe, bench, network)
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
) -> Job[Workspace]:
    """Do what a drag needs, and no more; arguments as of `invert`.

    The network's motion needs no tuning, and no projection where the network has an encoder;
    the network's pixels need both.
    """
    own_pixels = recipe.result.paste != "network"
    known = own_pixels and _has_encoder(identify(recipe.network, bench).weights)
    workspace = yield from (align if known else invert)(
        photo, recipe, bench, parent=parent, folder=folder, landmarks=landmarks, points=points
    )
    if not own_pixels:
        yield from tune([workspace], recipe, bench)
    return workspace
