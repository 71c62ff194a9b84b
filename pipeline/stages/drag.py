"""The drag stage: the network's face follows its points, and says how the photo's moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.distinctness import check_handles
from drag.masks import keep_outside, may_change, movable_mask
from drag.methods import METHODS
from drag.points import DragPoint, PointsFile, transform
from drag.session import DragSession, DragStep, StopReason
from pipeline.disk.tuned_picture import tuned_picture
from pipeline.machine.bench import Preview
from pipeline.picture.animation import gif_bytes, moments
from pipeline.picture.motion import Motion, face_motion
from pipeline.picture.warp import warp
from pipeline.progress import Job, Notice, PointNotice, Step
from pipeline.settings.schema import RecipeInvalid, config_from_json
from pipeline.stages.artifact_files import (
    DRAG,
    between,
    read_pixels,
    read_tensors,
    write_made,
    write_tensors,
)
from pipeline.stages.ground import Ground, read_ground
from pipeline.stages.work import Work
from stylegan2.arrays import UInt8Image
from stylegan2.generator import Generator
from stylegan2.images import to_tensor, to_uint8

PHOTO_FRAMES = 16
"""Of the animation of a photo whose network was not tuned."""


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write ws, the edited face and an animation; settles stopped_at when it is cancelled."""
    asked, bench = work.request.config, work.bench
    movable = yield from _movable(work)
    ground = read_ground(work.request, work.inputs, bench)
    start = ground.ws
    if "from" in work.inputs:
        start = read_tensors(work.inputs["from"], DRAG)["ws"].to(bench.device)
    points = [DragPoint((hx, hy), (tx, ty)) for hx, hy, tx, ty in asked["points"]]
    config = config_from_json(DragConfig, asked["drag"])
    _check_config(ground.generator, config)
    session = DragSession(ground.generator, start, ground.noise_consts, points, config, movable)

    if "warn_in" in work.request.hints:
        yield from _warnings(work, session.first_features, points)
    if movable is not None:
        yield from _kept_points(work, points, movable.cpu())

    before = _picture_before(work, ground)

    def render(ws: Tensor) -> Tensor:
        picture = ground.render(ws)
        return picture if movable is None else keep_outside(picture, before, movable)

    def show_last_step() -> None:
        """Offer the way from the step before to the last one."""
        way = torch.cat(track[-2:])
        path = torch.tensor([each.handles for each in steps[-2:]], dtype=torch.float64)
        parts = METHODS[config.method].live_moments
        for part in range(1, parts + 1):
            moment = part / parts * (len(way) - 1)
            step, handles = steps[-1], between(path, moment)[0].tolist()
            picture = partial(_pixels, render, way, moment)
            bench.show(Preview("drag", step.step, picture, handles, step.distances))

    limit = asked.get("stopped_at")
    steps, track = [session.last], [session.ws]
    if limit == 0 or bench.stop.is_set():
        session.cancel()
    for step in session.run():
        if step.step == len(steps):
            steps.append(step)
            track.append(session.ws)
        else:  # cancelled: nothing moved, only the reason is new
            steps[-1] = step
        show_last_step()
        values = {"distance": float(np.mean(step.distances)), "loss": step.loss}
        yield Step("drag", step.step, config.steps, values)
        if step.stop is None and (step.step == limit or bench.stop.is_set()):
            session.cancel()
    stop = session.last.stop
    assert stop is not None
    end, end_ws = session.result

    after = render(end_ws)
    write_made(work.draft, "edited.png", after)
    went = _went(work, points, end, stop)
    motion = _motion(before, after, went, movable)
    if "from" in work.inputs:
        motion = motion.after(Motion(read_tensors(work.inputs["from"], DRAG)["motion"].numpy()))
    if "tune" in work.inputs:
        path = torch.cat(track)
        frames = [to_uint8(render(between(path, moment))) for moment in moments(end.step)]
    else:  # the network's own picture is a stranger's
        frames = _moved_photo(read_pixels(work.inputs["align"], "aligned.png"), motion)
    work.draft.write("drag.gif", gif_bytes(frames))
    tensors = {
        "ws": end_ws,
        "moving": torch.cat([ws[:, : config.num_moving_ws] for ws in track]).half(),
        "handles": torch.tensor([step.handles for step in steps], dtype=torch.float64),
        "distances": torch.tensor([step.distances for step in steps], dtype=torch.float64),
        "motion": torch.from_numpy(motion.way),
    }
    if movable is not None:
        tensors["movable"] = movable
    write_tensors(work.draft, DRAG, tensors)
    work.draft.info.update(_facts(work, session.last.step, end, stop))
    work.draft.info["went"] = [list(point.target) for point in went]
    return {"stopped_at": session.last.step} if stop is StopReason.CANCELLED else {}


def _went(
    work: Work, points: Sequence[DragPoint], end: DragStep, stop: StopReason
) -> list[DragPoint]:
    """Say which way the photo's points go: all of it, or as far as they were when cancelled.

    A handle that rests where an earlier drag's was in the end is, in the photo, where that went.
    """
    known: dict[tuple[float, ...], tuple[float, float]] = {}
    if "from" in work.inputs:
        earlier = work.inputs["from"].info
        for handle, (x, y) in zip(earlier["handles"], earlier["went"], strict=True):
            known[tuple(handle)] = x, y
    ends = end.handles if stop is StopReason.CANCELLED else [point.target for point in points]
    return [
        DragPoint(known.get(point.handle, point.handle), point.handle if held else now)
        for point, now, held in zip(points, ends, end.held, strict=True)
    ]


def _motion(
    before: Tensor, after: Tensor, points: Sequence[DragPoint], movable: Tensor | None
) -> Motion:
    mask = None if movable is None else movable.cpu().numpy()
    return face_motion(to_uint8(before), to_uint8(after), points, mask)


def _pixels(render: Callable[[Tensor], Tensor], way: Tensor, moment: float) -> UInt8Image:
    return to_uint8(render(between(way, moment)))


def _picture_before(work: Work, ground: Ground) -> Tensor:
    """Give the picture that the drag starts from: what a mask protects stays as it is there."""
    if "from" in work.inputs:
        return to_tensor(read_pixels(work.inputs["from"], "edited.png"), work.bench.device)
    if "tune" in work.inputs:
        tune = work.inputs["tune"]
        tuned = read_pixels(tune, tuned_picture(tune, work.request.inputs["invert"]))
        return to_tensor(tuned, work.bench.device)
    return ground.render(ground.ws)


def _check_config(generator: Generator, config: DragConfig) -> None:
    """Raise RecipeInvalid for features or latents that this network does not have."""
    sides = generator.config.block_resolutions
    if config.features is not None and config.features not in sides:
        known = ", ".join(map(str, sides))
        raise RecipeInvalid(
            f"features must be one of this network's {known}, got {config.features}"
        )
    if config.num_moving_ws > generator.num_ws:
        raise RecipeInvalid(
            f"num_moving_ws must be at most {generator.num_ws}, as many latents as this network "
            f"has, got {config.num_moving_ws}"
        )


def _moved_photo(aligned: UInt8Image, motion: Motion) -> list[UInt8Image]:
    """Show the aligned photo on its way, in even steps from the beginning to the end."""
    size = len(aligned)
    quad = np.array([[0, 0], [0, size], [size, size], [size, 0]]) - 0.5
    shares = np.linspace(0, 1, PHOTO_FRAMES, dtype=np.float32)
    return [warp(aligned, quad, Motion(motion.way * share)) for share in shares]


def _movable(work: Work) -> Job[Tensor | None]:
    """Read the mask, and keep a copy of it."""
    if "mask" not in work.files:
        return None
    path = work.files["mask"]
    info = work.inputs["align"].info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    width, height = info["photo_size"]
    points_file = PointsFile(work.request.config["mask_space"], (), path)
    mask = movable_mask(points_file, matrix, info["size"], (width, height))
    assert mask is not None
    work.draft.write("mask.png", path.read_bytes())
    for notice in mask.notices:
        yield Notice(notice)
    return mask.movable.to(work.bench.device)


def _warnings(work: Work, features: Tensor, points: Sequence[DragPoint]) -> Job[None]:
    """Say which handles may drift, and where near them another one would hold better."""
    info = work.inputs["align"].info
    handles = [point.handle for point in points]
    to_space, limits = _space(work)
    for number, check in enumerate(check_handles(features, handles, info["size"]), start=1):
        if not check.may_drift:
            continue
        x, y = (round(v, 1) for v in transform(to_space, handles[number - 1]))
        better = None
        if check.better is not None:
            near_x, near_y = (round(v, 1) for v in transform(to_space, check.better))
            # Where the face is cut off by the photo's edge, the crop goes on beyond it.
            if 0 <= near_x <= limits[0] - 1 and 0 <= near_y <= limits[1] - 1:
                better = near_x, near_y
        text = f"point {number} at ({x:g}, {y:g}) has little texture around it and may drift; "
        if better is None:
            text += "there is no better point near it"
        else:
            text += f"({better[0]:g}, {better[1]:g}) is a nearby point that holds better"
        yield PointNotice(text, number, (x, y), "drift", round(check.distinctness, 3), better)


def _kept_points(work: Work, points: Sequence[DragPoint], movable: Tensor) -> Job[None]:
    """Say which points cannot do what is asked, because the mask keeps the picture there."""
    to_space, _ = _space(work)
    for number, point in enumerate(points, start=1):
        if point.handle == point.target:
            continue
        handle, target = (
            tuple(round(v, 1) for v in transform(to_space, xy))
            for xy in (point.handle, point.target)
        )
        at = handle[0], handle[1]
        if not may_change(point.handle, movable):
            text = (
                f"point {number} at ({at[0]:g}, {at[1]:g}) lies where the mask keeps the picture, "
                "so it stays where it is: make the mask white there to let it move"
            )
            yield PointNotice(text, number, at, "held")
        elif not may_change(point.target, movable):
            text = (
                f"point {number}: its target ({target[0]:g}, {target[1]:g}) lies where the mask "
                "keeps the picture, so it cannot be seen there: make the mask white there, too"
            )
            yield PointNotice(text, number, at, "hidden")


def _space(work: Work) -> tuple[npt.NDArray[np.float64], tuple[int, int]]:
    """Return the way from the aligned face to the space of the user's points, and its size."""
    info = work.inputs["align"].info
    if work.request.hints.get("warn_in") != "photo":
        return np.eye(3), (info["size"], info["size"])
    matrix = np.linalg.inv(np.array(info["photo_to_aligned"], dtype=np.float64))
    return matrix.astype(np.float64), tuple(info["photo_size"])


def _facts(work: Work, steps: int, end: DragStep, stop: StopReason) -> dict[str, Any]:
    made = work.inputs.get("invert")
    origin = work.request if made is None else made.request
    facts = {
        "network": origin.hints["network"],
        "weights": origin.config["weights"],
        "landmark_source": work.inputs["align"].info["landmark_source"],
        "stop": stop.value,
        "steps": steps,
        "step": end.step,
        "handles": [list(xy) for xy in end.handles],
        "targets": [point[2:] for point in work.request.config["points"]],
        "distances": list(end.distances),
        "held": [number for number, held in enumerate(end.held, start=1) if held],
    }
    if "tune" in work.inputs:
        facts["perceptual"] = work.inputs["tune"].info["perceptual"]
    return facts
