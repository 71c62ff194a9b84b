"""The drag stage: the tuned face follows its points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.masks import movable_mask
from drag.points import DragPoint, PointsFile
from drag.session import DragSession, DragStep, StopReason
from pipeline.animation import gif_bytes, spread
from pipeline.models import Preview
from pipeline.progress import Job, Notice, Step
from pipeline.recipe import config_from_json
from pipeline.stages import Task
from pipeline.stages.pictures import (
    DRAG,
    UInt8Image,
    read_inversion,
    read_tensors,
    read_tuned,
    write_made,
    write_tensors,
)
from stylegan2.images import to_uint8

LAST_STEP_COUNTS = (StopReason.ARRIVED, StopReason.CANCELLED)
"""Reasons after which the last step is the result; after the others it is the nearest one."""


def run(task: Task) -> Job[Mapping[str, Any]]:
    """Write ws, the edited face and an animation; settles stopped_at when it is cancelled."""
    asked, bench = task.request.config, task.bench
    movable = yield from _movable(task)
    inversion = read_inversion(task.inputs["invert"], bench.device)
    generator = read_tuned(bench, task.inputs["invert"], task.inputs["tune"])
    start = inversion.w_pivot
    if "from" in task.inputs:
        start = read_tensors(task.inputs["from"], DRAG)["ws"].to(bench.device)
    points = [DragPoint((hx, hy), (tx, ty)) for hx, hy, tx, ty in asked["points"]]
    config = config_from_json(DragConfig, asked["drag"])
    session = DragSession(generator, start, inversion.noise_consts, points, config, movable)

    def show() -> UInt8Image:
        return to_uint8(session.picture())

    limit = asked.get("stopped_at")
    steps, track = [session.last], [session.ws]
    best = 0
    if limit == 0 or bench.stop.is_set():
        session.cancel()
    for step in session.run():
        if step.step == len(steps):
            steps.append(step)
            track.append(session.ws)
            if session.best_ws is session.ws:
                best = step.step
        else:  # cancelled: nothing moved, only the reason is new
            steps[-1] = step
        bench.show(Preview("drag", step.step, show, step.handles, step.distances))
        values = {"distance": float(np.mean(step.distances)), "loss": step.loss}
        yield Step("drag", step.step, config.steps, values)
        if step.stop is None and (step.step == limit or bench.stop.is_set()):
            session.cancel()
    stop = steps[-1].stop
    assert stop is not None
    result = len(steps) - 1 if stop in LAST_STEP_COUNTS else best

    with torch.no_grad():
        write_made(
            task.draft, "edited.png", generator.synthesis(track[result], inversion.noise_consts)
        )
        frames = [
            to_uint8(generator.synthesis(track[i], inversion.noise_consts))
            for i in spread(result + 1)
        ]
    task.draft.write("drag.gif", gif_bytes(frames))
    tensors = {
        "ws": track[result],
        "moving": torch.cat([ws[:, : config.num_moving_ws] for ws in track]).half(),
        "handles": torch.tensor([step.handles for step in steps], dtype=torch.float64),
        "distances": torch.tensor([step.distances for step in steps], dtype=torch.float64),
    }
    write_tensors(task.draft, DRAG, tensors)
    task.draft.info.update(_facts(task, steps[-1].step, result, steps[result], stop))
    return {"stopped_at": steps[-1].step} if stop is StopReason.CANCELLED else {}


def _movable(task: Task) -> Job[Tensor | None]:
    """Read the mask, and keep a copy of it."""
    if "mask" not in task.files:
        return None
    path = task.files["mask"]
    info = task.inputs["align"].info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    width, height = info["photo_size"]
    points_file = PointsFile(task.request.config["mask_space"], (), path)
    mask = movable_mask(points_file, matrix, info["size"], (width, height))
    assert mask is not None
    task.draft.write("mask.png", path.read_bytes())
    for notice in mask.notices:
        yield Notice(notice)
    return mask.movable.to(task.bench.device)


def _facts(task: Task, steps: int, result: int, step: DragStep, stop: StopReason) -> dict[str, Any]:
    invert = task.inputs["invert"]
    return {
        "network": invert.request.hints["network"],
        "weights": invert.request.config["weights"],
        "perceptual": task.inputs["tune"].info["perceptual"],
        "landmark_source": task.inputs["align"].info["landmark_source"],
        "stop": stop.value,
        "steps": steps,
        "step": result,
        "handles": [list(xy) for xy in step.handles],
        "targets": [point[2:] for point in task.request.config["points"]],
        "distances": list(step.distances),
    }
