"""What each stage is asked for: settings, points and files put into requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drag.config import DragConfig
from drag.methods import METHODS
from inversion.config import OFFLINE_PERCEPTUAL
from pipeline.disk.artifact import Artifact, Request, file_input
from pipeline.disk.workspace import Workspace
from pipeline.jobs.claim import photo_hash
from pipeline.progress import Job, Notice, PointNotice
from pipeline.settings.recipe import PARTS, Recipe
from pipeline.settings.schema import RecipeInvalid, config_to_json
from pipeline.stage_table import STAGES, Stage
from stylegan2.hashing import file_sha256
from stylegan2.sizes import Size, sides

if TYPE_CHECKING:
    from drag.points import PointsFile

BEST_PERCEPTUAL_FIRST = ("lpips-vgg", "lpips-alex", "lpips-squeeze", OFFLINE_PERCEPTUAL)
"""What "auto" takes when it is already there, best first."""

BEST_LANDMARKS_FIRST = ("face-alignment", "finder")


def align_request(photo: Path, size: Size, recipe: Recipe, landmarks: Path | None) -> Request:
    """Ask for an alignment; settings that change nothing are left out of its identity.

    Faces are cut out as squares: for pictures of another shape the photo is taken as it is.
    Raises RecipeInvalid where the face is said that shall be cut out, and none is.
    """
    height, width = sides(size)
    whole = recipe.align.align == "none" or height != width
    if whole and (landmarks is not None or recipe.align.face is not None):
        raise RecipeInvalid(
            "the whole picture is taken, as align none says, or the network, whose pictures are "
            "not square; leave out what says which face (face, landmarks)"
        )
    if landmarks is not None and recipe.align.face is not None:
        raise RecipeInvalid("landmarks say where the face is, face says which one: choose one")
    config: dict[str, Any] = {
        "align": "none" if whole else "auto",
        "size": height if height == width else [height, width],
    }
    inputs = {"photo": file_input(photo_hash(photo))}
    hints = {"photo": str(photo.resolve())}
    if whole:
        return Request.of(STAGES["align"], config, inputs, hints)
    if landmarks is not None:
        from inversion.faces.landmarks_file import read_landmarks

        read_landmarks(landmarks)
        inputs["landmarks"] = file_input(file_sha256(landmarks))
        hints["landmarks"] = str(landmarks.resolve())
        config["landmark_source"] = "file"
        return Request.of(STAGES["align"], config, inputs, hints)
    source = recipe.align.landmark_source
    config["landmark_source"] = "finder" if source == "offline" else source
    config["face"] = recipe.align.face
    return Request.of(STAGES["align"], config, inputs, hints)


def settled(
    workspace: Workspace, request: Request, setting: str, best_first: Iterable[str]
) -> Job[Request]:
    """Settle a setting that is left on "auto" by what is already there, if anything is."""
    if request.config.get(setting) == "auto":
        for choice in best_first:
            settled = request.with_config(**{setting: choice})
            if (yield from workspace.find(settled)) is not None:
                return settled
    return request


def perceptual_name(choice: str) -> str:
    """Return the name under which a choice of perceptual distance is recorded."""
    return OFFLINE_PERCEPTUAL if choice == "offline" else choice


def drag_settings(config: DragConfig) -> dict[str, Any]:
    """Return a drag's settings for its request, without what its method has none of."""
    plain = config_to_json(config)
    if METHODS[config.method].learning_rate is None:
        del plain["learning_rate"]
    return plain


def following_request(stage: Stage, known: Mapping[str, str], recipe: Recipe) -> Request:
    """Ask for a stage that follows the drag, with its part of the recipe, if it has one.

    known are the fingerprints of what it may stand on, by the stages' names.
    """
    name = stage.name
    config = {name: config_to_json(getattr(recipe, name))} if name in PARTS else {}
    inputs = {each: known[each] for each in (*stage.needs, *stage.takes) if each in known}
    return Request.of(stage, config, inputs)


def place_points(
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
    placed = to_aligned(asked, matrix, info["size"], (width, height))
    for number in placed.clamped:
        point = asked.points[number - 1]
        x, y = point.target
        text = (
            f"point {number}: its target ({x:g}, {y:g}) lies outside the face crop; "
            "it goes as far as the crop's edge"
        )
        yield PointNotice(text, number, point.handle, "clamped")
    config["points"] = [[*point.handle, *point.target] for point in placed.points]
    if asked.mask_path is not None:
        if not asked.mask_path.is_file():
            raise PointsInvalid(f"mask {asked.mask_path}: there is no such file")
        config["mask_space"] = asked.space
        inputs["mask"] = file_input(file_sha256(asked.mask_path))
        hints["mask"] = str(asked.mask_path.resolve())


def check_points(points: PointsFile, aligned: Artifact, *, mask: bool = True) -> None:
    """Raise PointsInvalid for points, or a mask, that the drag would refuse, before time is spent.

    What there is to say of points that are taken, the drag says.
    """
    for _ in place_points(points, aligned, {}, {}, {}):
        pass
    if points.mask_path is None or not mask:
        return
    import numpy as np

    from drag.masks import movable_mask

    info = aligned.info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    width, height = info["photo_size"]
    movable_mask(points, matrix, info["size"], (width, height))


def same_points(
    before: Artifact, config: dict[str, Any], inputs: dict[str, str], hints: dict[str, str]
) -> None:
    """Ask for the targets of an earlier drag again, from where its handles are now."""
    from drag.points import inside

    size = before.request.config["size"]
    ways = zip(before.info["handles"], before.info["targets"], strict=True)
    config["points"] = [[*inside(handle, size), *target] for handle, target in ways]
    for name in ("follow", "controls"):
        if name in before.request.config:
            config[name] = before.request.config[name]
    for name in ("warn_in", "own_points"):
        if name in before.request.hints:
            hints[name] = before.request.hints[name]
    if "mask" in before.request.inputs:
        config["mask_space"] = before.request.config["mask_space"]
        inputs["mask"] = before.request.inputs["mask"]
        hints["mask"] = str(before.path("mask.png"))
