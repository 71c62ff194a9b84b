"""The drag stage: the network's face follows its points, and says how the photo's moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.distinctness import handle_features
from drag.masks import keep_outside
from drag.methods import METHODS
from drag.points import DragPoint
from drag.session import DragSession, DragStep, StopReason
from pipeline.machine.bench import Bench, Preview
from pipeline.picture.animation import MAX_SIDE, gif_bytes, moments
from pipeline.picture.photo_writer import write_photo
from pipeline.progress import EndNotice, Job, Notice, Step
from pipeline.settings.schema import config_from_json
from pipeline.stages.artifact_files import (
    DRAG,
    between,
    read_tensors,
    write_made,
    write_tensors,
)
from pipeline.stages.directed import shift_of
from pipeline.stages.drag_inputs import check_config, movable_area, picture_before
from pipeline.stages.ground import read_ground
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
from pipeline.stages.handle_checks import drift_notices, eye_notices, kept_notices
from pipeline.stages.moved import Moved
from pipeline.stages.moving_photo import XY, MovingPhoto
from pipeline.stages.network_film import film_pictures
from pipeline.stages.work import Work
from stylegan2.arrays import Float32Array, UInt8Image
from stylegan2.images import to_uint8

NETWORKS_OWN = (StopReason.STEP_LIMIT, StopReason.NO_PROGRESS, StopReason.LOST_TRACK)
"""Ends of the network's face short of its targets; the photo's own pixels go there all the same."""


@dataclass
class Course:
    """The way that the network's face went: its steps with their ws, and where it ends."""

    steps: list[DragStep]
    track: list[Tensor]
    end: DragStep
    end_ws: Tensor
    stop: StopReason


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write ws, the edited face, an animation and how the photo moves.

    Settles stopped_at when it is cancelled. edited.png is what a person gets, network.png what the
    network made: the same unless it is the photo that moves.
    """
    asked, bench = work.request.config, work.bench
    movable = yield from movable_area(work)
    ground = read_ground(work.request, work.inputs, bench)
    start = ground.ws
    if "from" in work.inputs:
        start = read_tensors(work.inputs["from"], DRAG)["ws"].to(bench.device)
    points = [DragPoint((hx, hy), (tx, ty)) for hx, hy, tx, ty in asked["points"]]
    photo = MovingPhoto.read(work, points, movable)
    config = config_from_json(DragConfig, asked["drag"])
    check_config(ground.generator, config)
    before = picture_before(work, ground)

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
        yield from kept_notices(work, own, movable.cpu())
    yield from eye_notices(work, photo, len(own))
    still = DragStep(0, 0.0, (), (), (), None)
    course = Course([still], [start], still, start, StopReason.ARRIVED)
    if photo.followed:
        followed = photo.for_network
        session = DragSession(
            ground.generator, start, ground.noise_consts, followed, config, movable
        )
        if "warn_in" in work.request.hints:
            features = handle_features(ground.generator, ground.noise_consts, start)
            yield from drift_notices(work, features, photo, len(own))

        def show(course: Course) -> None:
            parts = METHODS[config.method].live_moments
            _show(bench, parts, photo, course, picture_of, way_of)

        course = yield from _followed(session, asked, bench, config.steps, show)
    end, stop = course.end, course.stop
    shift = shift_of(work, ground.generator)
    dragged_ws = course.end_ws
    end_ws = dragged_ws if shift is None else dragged_ws + shift.ws
    after = render(end_ws) if shift is None else masked(shift.ground(ground).render(end_ws))
    handles = photo.places(end, end.step)
    ends = handles if stop is StopReason.CANCELLED else photo.ends
    drawn = to_uint8(before), to_uint8(after)

    @cache  # the whole way is asked for again where it does not hold
    def made(share: float) -> Moved:
        pictures = drawn
        if shift is not None and share < 1:
            there = shift.ground(ground, share).render(dragged_ws + share * shift.ws)
            pictures = drawn[0], to_uint8(masked(there))
        return photo.moved(*pictures, photo.on_the_way(ends, share), share)

    pixels, held = _chosen(work, photo, made, lambda: photo.pasted(*drawn))
    went = photo.on_the_way(ends, held.share)
    if held.share < 1:
        near = where_it_tears(made(1), ends, photo.size) if ends else len(own) + 1
        there = f" near point {near}" if near <= len(own) else ""
        who, whose = ("the points go", "their") if ends else ("the face goes", "its")
        yield EndNotice(
            f"{who} {held.share:.0%} of {whose} way: farther, the photo would look broken{there}"
        )
    if photo.gaze is not None and pixels == "network":
        yield Notice(
            "the gaze stays: eyes look elsewhere in the photo's own pixels, and the network's are "
            "asked for"
        )
    if shift is not None and pixels == "photo":
        yield Notice(
            "the photo follows how the directions move the face; what else they change in the "
            "network's picture (colours, hair, glasses) --paste network shows, after a tuning"
        )
    if held.broken or held.share < 1:
        stop = StopReason.TORN if held.broken else StopReason.AS_FAR
    elif pixels == "photo" and stop in NETWORKS_OWN:
        stop = StopReason.HELD if any(photo.held) else StopReason.ARRIVED
    shown = went if pixels == "photo" else handles
    write_made(work.draft, "network.png", after)
    if pixels == "network":
        write_made(work.draft, "edited.png", after)
        path = torch.cat(course.track)
        times = moments(end.step if shift is None else max(end.step, 1))
        ways = torch.cat([between(path, moment) for moment in times])
        shares = torch.linspace(0, 1, len(ways))
        if shift is not None:
            ways = ways + shares.to(shift.ws)[:, None, None] * shift.ws
        pictures = film_pictures(ground, ways, MAX_SIDE)
        if shift is not None and shift.styles is not None:
            grounds = (shift.ground(ground, float(share)) for share in shares)
            pairs = zip(grounds, ways.split(1), strict=True)
            pictures = (picture for pair in pairs for picture in film_pictures(*pair, MAX_SIDE))
        frames = [to_uint8(masked(picture)) for picture in pictures]
    else:
        write_photo(photo.shown(held.moved), work.draft.path("edited.png"))
        frames = photo.film(held.moved)
    work.draft.write("drag.gif", gif_bytes(frames))
    paths = [photo.places(step, end.step) for step in course.steps]
    gaps = [[math.dist(*pair) for pair in zip(path, photo.targets, strict=True)] for path in paths]
    tensors = {
        "ws": end_ws,
        "moving": torch.cat([ws[:, : config.num_moving_ws] for ws in course.track]).half(),
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
        steps=course.steps[-1].step,
        step=end.step,
        handles=[list(xy) for xy in shown],
        targets=[list(xy) for xy in photo.targets],
        distances=[math.dist(*pair) for pair in zip(shown, photo.targets, strict=True)],
        held=[i for i, held in enumerate(photo.held, start=1) if held],
        followed=list(photo.followed),
        went=[list(xy) for xy in went],
        share=held.share,
        looks=round(held.looks, 2),
        pixels=pixels,
    )
    cancelled = course.stop is StopReason.CANCELLED
    return {"stopped_at": course.steps[-1].step} if cancelled else {}


def _followed(
    session: DragSession,
    asked: Mapping[str, Any],
    bench: Bench,
    most: int,
    show: Callable[[Course], None],
) -> Job[Course]:
    """Let the network's face follow its points until it has come to the end, or is to stop."""
    course = Course([session.last], [session.ws], session.last, session.ws, StopReason.CANCELLED)
    limit = asked.get("stopped_at")
    if limit == 0 or bench.stop.is_set():
        session.cancel()
    for step in session.run():
        if step.step == len(course.steps):
            course.steps.append(step)
            course.track.append(session.ws)
        else:  # cancelled: nothing moved, only the reason is new
            course.steps[-1] = step
        show(course)
        values = {"distance": float(np.mean(step.distances)), "loss": step.loss}
        yield Step("drag", step.step, most, values)
        if step.stop is None and (step.step == limit or bench.stop.is_set()):
            session.cancel()
    assert session.last.stop is not None
    course.stop = session.last.stop
    course.end, course.end_ws = session.result
    return course


def _chosen(
    work: Work,
    photo: MovingPhoto,
    made: Callable[[float], Moved],
    pasted: Callable[[], UInt8Image],
) -> tuple[str, Held]:
    """Say whose pixels are shown, the photo's or the network's, and how far they go.

    pasted makes the aligned photo with the network's pixels in it.
    """
    asked = work.request.config
    if asked["moves"] == "network":
        return "network", Held(made(1), 1.0, looks_of_picture(photo, pasted()))
    if asked.get("force"):
        return "photo", Held(made(1), 1.0, looks(photo, made(1)))
    held = as_far_as_it_holds(made, partial(looks, photo))
    may_paste = asked["moves"] == "auto" and "tune" in work.inputs and photo.shown_by_network
    if may_paste and has_score(photo):
        score = looks_of_picture(photo, pasted())
        if score >= max(HOLDS, held.looks + BETTER):
            return "network", Held(made(1), 1.0, score)
    return "photo", held


def _show(
    bench: Bench,
    parts: int,
    photo: MovingPhoto,
    course: Course,
    picture_of: Callable[[Tensor], UInt8Image],
    way_of: Callable[[Sequence[XY], UInt8Image], Float32Array],
) -> None:
    """Offer the way from the step before to the last one, in parts, to whoever watches."""
    way = torch.cat(course.track[-2:])
    step = course.steps[-1]
    path = torch.tensor([each.handles for each in course.steps[-2:]], dtype=torch.float64)
    for part in range(1, parts + 1):
        moment = part / parts * (len(way) - 1)
        now = replace(step, handles=tuple((x, y) for x, y in between(path, moment)[0].tolist()))
        handles = photo.places(now, max(step.step, 1))
        picture = partial(picture_of, between(way, moment))
        distances = [math.dist(*pair) for pair in zip(handles, photo.targets, strict=True)]
        moved = partial(way_of, handles)
        bench.show(Preview("drag", step.step, picture, handles, distances, moved))


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
