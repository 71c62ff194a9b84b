"""What the present points stand on: the network that a drag would move, and from where in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.disk.artifact import Request, read_artifact
from pipeline.disk.workspace import Workspace
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.stage_table import STAGES
from pipeline.studio.desk import Desk

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.stages.ground import Ground


def ground_request(desk: Desk, workspace: Workspace, bench: Bench) -> Request:
    """Return a drag's request as far as its ground goes. Raises StageMissing."""
    dragged = desk.current(workspace, "drag")
    if dragged is not None:
        return dragged.request
    inputs = {"align": desk.aligned(workspace).fingerprint}
    made = {stage: desk.current(workspace, stage) for stage in ("invert", "tune")}
    inputs |= {stage: each.fingerprint for stage, each in made.items() if each is not None}
    sketch = desk.sketch(workspace, working=True)
    network = identify(desk.network_of(workspace, sketch), bench)
    config, hints = {"weights": network.weights}, {"network": network.name}
    return Request.of(STAGES["drag"], config, inputs, hints)


def load_ground(
    desk: Desk, workspace: Workspace, bench: Bench, request: Request
) -> tuple[Ground, Tensor]:
    """Load a ground, and the ws [1, num_ws, w_dim] of the face that is shown.

    Raises ArtifactCorrupt.
    """
    from pipeline.stages.artifact_files import DRAG, read_tensors
    from pipeline.stages.ground import read_ground

    inputs = {}
    for stage in ("align", "invert", "tune"):
        made = desk.current(workspace, stage)
        if made is not None and request.inputs.get(stage) == made.fingerprint:
            inputs[stage] = read_artifact(made.folder)
    ground = read_ground(request, inputs, bench)
    dragged = desk.current(workspace, "drag")
    if dragged is None:
        return ground, ground.ws
    return ground, read_tensors(read_artifact(dragged.folder), DRAG)["ws"].to(bench.device)
