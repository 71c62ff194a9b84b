"""The drag stage: the network's face follows its points, and says how the photo's moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.distinctness import check_handles, handle_features
from drag.masks import keep_outside, may_change, movable_mask
from drag.methods import METHODS
from drag.points import DragPoint, PointsFile, transform
from drag.session import DragSession, DragStep, StopReason
from pipeline.disk.tuned_picture import tuned_picture
from pipeline.machine.bench import Bench, Preview
from pipeline.picture.animation import MAX_SIDE, gif_bytes, moments
from pipeline.picture.photo_writer import write_photo
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
from pipeline.stages.directed import shift_of
from pipeline.stages.ground import Ground, read_ground
from pipeline.stages.guard import (
    BETTER,
    HOLDS,
    Held,
    as_far_as_it_holds,
    has_score,
    looks,
    looks_of_picture,
    where_it_tears,
)
from pipeline.stages.moving_photo import XY, Moved, MovingPhoto
from pipeline.stages.network_film import film_pictures
from pipeline.stages.work import Work
from stylegan2.arrays import Float32Array, UInt8Image
from stylegan2.generator import Generator
from stylegan2.images import to_tensor, to_uint8
from stylegan2.sizes import longer_side, sides


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write ws, the edited face, an animation and how the photo moves.

    Settles stopped_at when it is cancelled. edited.png is what a person gets, network.png what the
    network made: the same unless it is the photo that moves.
    """
    asked, bench = work.request.config, work.bench
    movable = yield from _movable(work)
    ground = read_ground(work.request, work.inputs, bench)
    start = ground.ws
    if "from" in work.inputs:
        start = read_tensors(work.inputs["from"], DRAG)["ws"].to(bench.device)
    points = [DragPoint((hx, hy), (tx, ty)) for hx, hy, tx, ty in asked["points"]]
    photo = MovingPhoto.read(work, points, movable)
    config = config_from_json(DragConfig, asked["drag"])
    _check_config(ground.generator, config)
    before = _picture_before(work, ground)

    def masked(picture: Tensor) -> Tensor:
        return picture if movable is None else keep_outside(picture, before, movable)

    def render(ws: Tensor) -> Tensor:
        return masked(ground.render(ws))

    def picture_of(ws: Tensor) -> UInt8Image:
        return to_uint8(render(ws))

    def way_of(handles: Sequence[XY], picture: UInt8Image) -> Float32Array:
        return photo.quick_motion(to_uint8(before), picture, handles).way

    own = points[: int(work.request.hints.get("own_points", len(points)))]
    if movable is not None:
        yield from _kept_points(work, own, movable.cpu())
    steps, track = [DragStep(0, 0.0, (), (), (), None)], [start]
    stop = StopReason.ARRIVED
    if photo.followed:
        followed = photo.for_network
        session = DragSession(
            ground.generator, start, ground.noise_consts, followed, config, movable
        )
        if "warn_in" in work.request.hints:
            features = handle_features(ground.generator, ground.noise_consts, start)
            yield from _warnings(work, features, photo, len(own))
        steps = [session.last]
        limit = asked.get("stopped_at")
        if limit == 0 or bench.stop.is_set():
            session.cancel()
        for step in session.run():
            if step.step == len(steps):
                steps.append(step)
                track.append(session.ws)
            else:  # cancelled: nothing moved, only the reason is new
                steps[-1] = step
            _show(bench, asked, photo, steps, track, picture_of, way_of)
            values = {"distance": float(np.mean(step.distances)), "loss": step.loss}
            yield Step("drag", step.step, config.steps, values)
            if step.stop is None and (step.step == limit or bench.stop.is_set()):
                session.cancel()
        assert session.last.stop is not None
        stop = session.last.stop
        end, end_ws = session.result
    else:
        end, end_ws = steps[0], start
    shift = shift_of(work, ground.generator)
    dragged_ws = end_ws
    if shift is not None:
        end_ws = end_ws + shift

    after = render(end_ws)
    handles = photo.places(end, end.step)
    ends = handles if stop is StopReason.CANCELLED else photo.ends
    drawn = to_uint8(before), to_uint8(after)

    @cache  # the whole way is asked for again where it does not hold
    def made(share: float) -> Moved:
        pictures = drawn
        if shift is not None and share < 1:
            pictures = drawn[0], picture_of(dragged_ws + share * shift)
        return photo.moved(*pictures, photo.on_the_way(ends, share))

    pixels = "photo"
    if asked["moves"] == "network":
        pixels = "network"
        held = Held(made(1), 1.0, looks_of_picture(photo, photo.pasted(*drawn)))
    elif asked.get("force"):
        moved = made(1)
        held = Held(moved, 1.0, looks(photo, moved))
    else:
        held = as_far_as_it_holds(made, partial(looks, photo))
        if asked["moves"] == "auto" and "tune" in work.inputs and has_score(photo):
            pasted = looks_of_picture(photo, photo.pasted(*drawn))
            if pasted >= max(HOLDS, held.looks + BETTER):
                pixels, held = "network", Held(made(1), 1.0, pasted)
    went = photo.on_the_way(ends, held.share)
    if held.share < 1:
        near = where_it_tears(made(1), ends, photo.size) if ends else len(own) + 1
        there = f" near point {near}" if near <= len(own) else ""
        who, whose = ("the points go", "their") if ends else ("the face goes", "its")
        yield Notice(
            f"{who} {held.share:.0%} of {whose} way: farther, the photo would look broken{there}"
        )
    if shift is not None and pixels == "photo":
        yield Notice(
            "the photo follows how the directions move the face; what else they change in the "
            "network's picture (colours, hair, glasses) --paste network shows, after a tuning"
        )
    if held.broken or held.share < 1:
        stop = StopReason.TORN if held.broken else StopReason.AS_FAR
    write_made(work.draft, "network.png", after)
    if pixels == "network":
        write_made(work.draft, "edited.png", after)
        path = torch.cat(track)
        times = moments(end.step if shift is None else max(end.step, 1))
        ways = torch.cat([between(path, moment) for moment in times])
        if shift is not None:
            ways = ways + torch.linspace(0, 1, len(ways)).to(shift)[:, None, None] * shift
        pictures = film_pictures(ground, ways, MAX_SIDE)
        frames = [to_uint8(masked(picture)) for picture in pictures]
    else:
        write_photo(photo.shown(held.moved), work.draft.path("edited.png"))
        frames = photo.film(held.moved)
    work.draft.write("drag.gif", gif_bytes(frames))
    paths = [photo.places(step, end.step) for step in steps]
    gaps = [[math.dist(*pair) for pair in zip(path, photo.targets, strict=True)] for path in paths]
    tensors = {
        "ws": end_ws,
        "moving": torch.cat([ws[:, : config.num_moving_ws] for ws in track]).half(),
        "handles": torch.tensor(paths, dtype=torch.float64),
        "distances": torch.tensor(gaps, dtype=torch.float64),
        **held.moved.write(work.draft),
    }
    if movable is not None:
        tensors["movable"] = movable
    write_tensors(work.draft, DRAG, tensors)
    work.draft.info.update(_origin(work))
    work.draft.info.update(
        stop=stop.value,
        steps=steps[-1].step,
        step=end.step,
        handles=[list(xy) for xy in handles],
        targets=[list(xy) for xy in photo.targets],
        distances=[math.dist(*pair) for pair in zip(handles, photo.targets, strict=True)],
        held=[i for i, held in enumerate(photo.held, start=1) if held],
        followed=list(photo.followed),
        went=[list(xy) for xy in went],
        share=held.share,
        looks=round(held.looks, 2),
        pixels=pixels,
    )
    return {"stopped_at": steps[-1].step} if stop is StopReason.CANCELLED else {}


def _show(
    bench: Bench,
    asked: Mapping[str, Any],
    photo: MovingPhoto,
    steps: Sequence[DragStep],
    track: Sequence[Tensor],
    picture_of: Callable[[Tensor], UInt8Image],
    way_of: Callable[[Sequence[XY], UInt8Image], Float32Array],
) -> None:
    """Offer the way from the step before to the last one to whoever watches."""
    way = torch.cat(list(track[-2:]))
    parts = METHODS[asked["drag"]["method"]].live_moments
    step = steps[-1]
    path = torch.tensor([each.handles for each in steps[-2:]], dtype=torch.float64)
    for part in range(1, parts + 1):
        moment = part / parts * (len(way) - 1)
        now = replace(step, handles=tuple((x, y) for x, y in between(path, moment)[0].tolist()))
        handles = photo.places(now, max(step.step, 1))
        picture = partial(picture_of, between(way, moment))
        distances = [math.dist(*pair) for pair in zip(handles, photo.targets, strict=True)]
        moved = partial(way_of, handles)
        bench.show(Preview("drag", step.step, picture, handles, distances, moved))


def _picture_before(work: Work, ground: Ground) -> Tensor:
    """Return the network's picture that the drag starts from: what a mask protects stays so."""
    if "from" in work.inputs:
        return to_tensor(read_pixels(work.inputs["from"], "network.png"), work.bench.device)
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


def _warnings(work: Work, features: Tensor, photo: MovingPhoto, own: int) -> Job[None]:
    """Say which of the first handles may drift, and where near them another would hold better."""
    info = work.inputs["align"].info
    followed = [i for i in photo.followed if i < own]
    if not followed:
        return
    handles = [photo.points[i].handle for i in followed]
    to_space, limits = _space(work)
    checks = check_handles(features, handles, longer_side(info["size"]))
    for i, handle, check in zip(followed, handles, checks, strict=True):
        if not check.may_drift:
            continue
        number = i + 1
        x, y = (round(v, 1) for v in transform(to_space, handle))
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
        return np.eye(3), sides(info["size"])[::-1]
    matrix = np.linalg.inv(np.array(info["photo_to_aligned"], dtype=np.float64))
    return matrix.astype(np.float64), tuple(info["photo_size"])


def _origin(work: Work) -> dict[str, Any]:
    """Say which network was dragged, and what else it stands on."""
    made = work.inputs.get("invert")
    origin = work.request if made is None else made.request
    facts = {
        "network": origin.hints["network"],
        "weights": origin.config["weights"],
        "landmark_source": work.inputs["align"].info["landmark_source"],
    }
    if "tune" in work.inputs:
        facts["perceptual"] = work.inputs["tune"].info["perceptual"]
    return facts
