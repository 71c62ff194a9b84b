"""A drag, and the stages that follow it: the face goes back into the photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drag.config import DragConfig
from inversion.encoders import encoder_file_for
from pipeline.controls.directed import Directed
from pipeline.controls.likeness import Like
from pipeline.controls.presets import ControlsInvalid
from pipeline.disk.artifact import Artifact, Request
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.jobs.controls import place_controls
from pipeline.jobs.directions import place_directions
from pipeline.jobs.obtain import current, obtain
from pipeline.jobs.requests import drag_settings, following_request, place_points, same_points
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import NetworkIdentity
from pipeline.progress import Job
from pipeline.settings.recipe import Recipe
from pipeline.stage_table import STAGES, stages_after
from stylegan2.sizes import longer_side

if TYPE_CHECKING:
    from drag.points import PointsFile

MOTION_FEATURES = 32
"""Side of the features in which a drag follows handles when it is the motion alone that counts."""


@dataclass(frozen=True)
class DragRequest:
    """What a drag is asked: points, controls, or neither to pull the last drag's points further.

    warn says whether to give notice of points that may drift. controls are amounts by name, like
    is another photo whose face is to be followed, directed goes along directions of the network.
    """

    points: PointsFile | None
    continued: bool = False
    warn: bool = True
    controls: Mapping[str, float] = field(default_factory=dict)
    like: Like | None = None
    directed: Directed | None = None

    @property
    def by_controls(self) -> bool:
        """Whether controls are asked for."""
        return bool(self.controls) or self.like is not None

    @property
    def by_name(self) -> bool:
        """Whether anything is asked for but points."""
        return self.by_controls or self.directed is not None


def drag(
    workspace: Workspace,
    asked: DragRequest,
    recipe: Recipe,
    bench: Bench,
    network: NetworkIdentity | None = None,
) -> Job[Artifact]:
    """Drag the face, or the last result when continued, and put it into the photo.

    The tuned network is dragged if there is one, otherwise the network as it is: its motion is
    good all the same. A network that is named is dragged as it is in any case; from latents of a
    file, where it was projected from such.
    """
    with (yield from workspace.lock()):
        aligned = yield from current(workspace, "align", bench)
        config: dict[str, Any] = {
            "drag": drag_settings(_for_motion(recipe, longer_side(aligned.info["size"]))),
            "size": aligned.info["size"],
            "moves": recipe.result.paste,
        }
        if recipe.result.force and recipe.result.paste != "network":
            config["force"] = True
        inputs = {"align": aligned.fingerprint}
        hints: dict[str, str] = {}
        base = yield from _stand(workspace, network, recipe, config, inputs, hints, bench)
        before = None
        if asked.continued:
            before = yield from current(workspace, "drag", bench)
            inputs["from"] = before.fingerprint
            if before.request.config.get("styled"):
                raise ControlsInvalid(
                    "the last result went along a direction of styles, which latents cannot hold: "
                    "apply all that is wanted to the photo at once"
                )
            if asked.points is None and not asked.by_name:
                same_points(before, config, inputs, hints)
        if asked.points is not None:
            yield from place_points(asked.points, aligned, config, inputs, hints)
        elif not asked.continued and not asked.by_name:
            raise ValueError("a drag needs points or controls unless it is continued")
        if asked.by_controls:
            yield from place_controls(
                workspace, asked.controls, asked.like, aligned, before, config, hints
            )
        if asked.directed is not None:
            config.setdefault("points", [])
            yield from place_directions(asked.directed, *base, config, inputs, hints, bench)
        if asked.warn and asked.points is not None:
            hints["warn_in"] = asked.points.space
        request = Request.of(STAGES["drag"], config, inputs, hints)
        dragged = yield from obtain(workspace, request, bench)
        workspace.make_current(dragged)
        known = {**inputs, "drag": dragged.fingerprint}
        for stage in stages_after("drag"):
            request = following_request(stage, known, recipe)
            made = yield from obtain(workspace, request, bench)
            workspace.make_current(made)
            known[stage.name] = made.fingerprint
        return dragged


def _stand(
    workspace: Workspace,
    network: NetworkIdentity | None,
    recipe: Recipe,
    config: dict[str, Any],
    inputs: dict[str, str],
    hints: dict[str, str],
    bench: Bench,
) -> Job[tuple[str, str]]:
    """Say in a drag's request which network it drags, and from where in it.

    Returns the network's name and the hash of its weights before any tuning.
    """
    state = yield from workspace.load_state()
    assert state is not None
    tuned = network is None and state.request("tune") is not None
    if tuned or recipe.result.paste == "network":
        made = yield from current(workspace, "invert", bench)
        inputs["invert"] = made.fingerprint
        inputs["tune"] = (yield from current(workspace, "tune", bench)).fingerprint
        return made.request.hints["network"], made.request.config["weights"]
    if network is None:
        known = state.request("invert") or state.request("drag")
        if known is None or "weights" not in known.config:
            yield from current(workspace, "invert", bench)  # raises: there is none
            raise WorkspaceInvalid(f"{workspace.name} does not say which network it is for")
        weights, name = known.config["weights"], known.hints["network"]
    else:
        weights, name = network.weights, network.name
    projected = state.request("invert")
    given = (
        projected is not None
        and "start" in projected.inputs
        and projected.config["weights"] == weights
    )
    if has_encoder(weights) and not given:
        config["weights"] = weights
        hints["network"] = name
    else:
        inputs["invert"] = (yield from current(workspace, "invert", bench)).fingerprint
    return name, weights


def has_encoder(weights: str) -> bool:
    """Tell whether the package has an encoder for the network with this weights hash."""
    return encoder_file_for(weights) is not None


def _for_motion(recipe: Recipe, size: int) -> DragConfig:
    """Follow handles coarsely where only the motion counts: it is as good and costs a tenth."""
    asked = recipe.drag
    chosen = asked.features is not None or size <= 2 * MOTION_FEATURES
    if recipe.result.paste == "network" or asked.method != "newton" or chosen:
        return asked
    return replace(asked, features=MOTION_FEATURES)
