"""From a photo to its edit: what each command asks of a workspace, stage after stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inversion.config import OFFLINE_PERCEPTUAL
from pipeline.disk.artifact import Artifact, Request, file_hash, file_input
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.jobs.claim import claim, photo_hash
from pipeline.jobs.obtain import current, obtain
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.progress import Job, Notice
from pipeline.settings.recipe import Recipe, config_to_json
from pipeline.stage_table import STAGES

if TYPE_CHECKING:
    from drag.points import PointsFile

BEST_PERCEPTUAL_FIRST = ("lpips-vgg", "lpips-alex", "lpips-squeeze", OFFLINE_PERCEPTUAL)
"""What "auto" takes when it is already there, best first."""

BEST_LANDMARKS_FIRST = ("face-alignment", "finder")


@dataclass(frozen=True)
class DragRequest:
    """What a drag is asked: points, or none to pull the last drag's points further.

    warn says whether to give notice of points that may drift.
    """

    points: PointsFile | None
    continued: bool = False
    warn: bool = True


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
    align = _align_request(photo, network.resolution, recipe, landmarks)
    claimed = yield from claim(photo, parent, folder)
    workspace = claimed.workspace
    with claimed.held:
        try:
            align = yield from _settled(workspace, align, "landmark_source", BEST_LANDMARKS_FIRST)
            aligned = yield from obtain(workspace, align, bench)
            config = {
                "weights": network.weights,
                "perceptual": _perceptual_name(recipe.perceptual),
                "seed": recipe.seed,
                "projection": config_to_json(recipe.invert),
            }
            hints = {"network": network.name}
            request = Request.of(STAGES["invert"], config, {"align": aligned.fingerprint}, hints)
            request = yield from _settled(workspace, request, "perceptual", BEST_PERCEPTUAL_FIRST)
            if points is not None:
                yield from _place_points(points, aligned, {}, {}, {})
                if (yield from workspace.find(request)) is None:
                    _check_mask(points, aligned)
        except BaseException:
            if claimed.fresh:
                workspace.discard()
            raise
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
        perceptual = _perceptual_name(recipe.perceptual)
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


def drag(workspace: Workspace, asked: DragRequest, recipe: Recipe, bench: Bench) -> Job[Artifact]:
    """Drag the tuned picture, or the last result when continued, and put it into the photo."""
    with (yield from workspace.lock()):
        inputs: dict[str, str] = {}
        hints: dict[str, str] = {}
        for stage in STAGES["drag"].needs:
            inputs[stage] = (yield from current(workspace, stage, bench)).fingerprint
        aligned = yield from current(workspace, "align", bench)
        config: dict[str, Any] = {
            "drag": config_to_json(recipe.drag),
            "size": aligned.info["size"],
        }
        if asked.continued:
            before = yield from current(workspace, "drag", bench)
            inputs["from"] = before.fingerprint
            if asked.points is None:
                _same_points(before, config, inputs, hints)
        if asked.points is not None:
            yield from _place_points(asked.points, aligned, config, inputs, hints)
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
            {"align": inputs["align"], "tune": inputs["tune"], "drag": dragged.fingerprint},
        )
        result = yield from obtain(workspace, request, bench)
        workspace.make_current(result)
        return dragged


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
    """Do all of it: invert, tune, drag."""
    workspace = yield from invert(
        photo,
        recipe,
        bench,
        parent=parent,
        folder=folder,
        landmarks=landmarks,
        points=points,
    )
    yield from tune([workspace], recipe, bench)
    dragged = yield from drag(workspace, DragRequest(points), recipe, bench)
    return workspace, dragged


def _align_request(photo: Path, size: int, recipe: Recipe, landmarks: Path | None) -> Request:
    """Ask for an alignment; settings that change nothing are left out of its identity."""
    config: dict[str, Any] = {"align": recipe.align.align, "size": size}
    inputs = {"photo": file_input(photo_hash(photo))}
    hints = {"photo": str(photo.resolve())}
    if recipe.align.align == "none":
        return Request.of(STAGES["align"], config, inputs, hints)
    if landmarks is not None:
        from inversion.faces.landmarks import read_landmarks

        read_landmarks(landmarks)
        inputs["landmarks"] = file_input(file_hash(landmarks))
        hints["landmarks"] = str(landmarks.resolve())
        config["landmark_source"] = "file"
        return Request.of(STAGES["align"], config, inputs, hints)
    source = recipe.align.landmark_source
    config["landmark_source"] = "finder" if source == "offline" else source
    config["face"] = recipe.align.face
    return Request.of(STAGES["align"], config, inputs, hints)


def _settled(
    workspace: Workspace, request: Request, setting: str, best_first: Iterable[str]
) -> Job[Request]:
    """Settle a setting that is left on "auto" by what is already there, if anything is."""
    if request.config.get(setting) == "auto":
        for choice in best_first:
            settled = request.with_config(**{setting: choice})
            if (yield from workspace.find(settled)) is not None:
                return settled
    return request


def _perceptual_name(choice: str) -> str:
    return OFFLINE_PERCEPTUAL if choice == "offline" else choice


def _place_points(
    asked: PointsFile,
    aligned: Artifact,
    config: dict[str, Any],
    inputs: dict[str, str],
    hints: dict[str, str],
) -> Job[None]:
    """Put points into a drag's request, in pixels of the aligned face."""
    import numpy as np

    from drag.points import PointsInvalid, to_aligned

    for notice in asked.notices:
        yield Notice(notice)
    info = aligned.info
    width, height = info["photo_size"]
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    points = to_aligned(asked, matrix, info["size"], (width, height))
    config["points"] = [[*point.handle, *point.target] for point in points]
    if asked.mask_path is not None:
        if not asked.mask_path.is_file():
            raise PointsInvalid(f"mask {asked.mask_path}: there is no such file")
        config["mask_space"] = asked.space
        inputs["mask"] = file_input(file_hash(asked.mask_path))
        hints["mask"] = str(asked.mask_path.resolve())


def _check_mask(points: PointsFile, aligned: Artifact) -> None:
    """Raise PointsInvalid for a mask that the drag would refuse, before time is spent."""
    if points.mask_path is None:
        return
    import numpy as np

    from drag.masks import movable_mask

    info = aligned.info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    width, height = info["photo_size"]
    movable_mask(points, matrix, info["size"], (width, height))


def _same_points(
    before: Artifact, config: dict[str, Any], inputs: dict[str, str], hints: dict[str, str]
) -> None:
    """Ask for the targets of an earlier drag again, from where its handles are now."""
    edge = before.request.config["size"] - 0.5
    handles = [[min(max(v, -0.5), edge) for v in xy] for xy in before.info["handles"]]
    targets = before.info["targets"]
    config["points"] = [[*h, *t] for h, t in zip(handles, targets, strict=True)]
    if "warn_in" in before.request.hints:
        hints["warn_in"] = before.request.hints["warn_in"]
    if "mask" in before.request.inputs:
        config["mask_space"] = before.request.config["mask_space"]
        inputs["mask"] = before.request.inputs["mask"]
        hints["mask"] = str(before.path("mask.png"))
