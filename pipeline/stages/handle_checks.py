"""What is said of points before a drag: which may drift, and which the mask holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from drag.distinctness import check_handles
from drag.masks import may_change
from drag.points import DragPoint, transform
from pipeline.progress import Job, Notice, PointNotice
from pipeline.stages.moving_photo import MovingPhoto
from pipeline.stages.work import Work
from stylegan2.sizes import longer_side, sides


def drift_notices(work: Work, features: Tensor, photo: MovingPhoto, own: int) -> Job[None]:
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


def kept_notices(work: Work, points: Sequence[DragPoint], movable: Tensor) -> Job[None]:
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


def eye_notices(work: Work, photo: MovingPhoto, own: int) -> Job[None]:
    """Say which points cannot move lids; own is how many of the points a person set."""
    to_space, _ = _space(work)
    for i in photo.shut:
        if i < own:
            x, y = (round(v, 1) for v in transform(to_space, photo.points[i].handle))
            text = (
                f"point {i + 1} at ({x:g}, {y:g}) lies on an eye that an earlier drag shut, and it "
                "stays shut: start from the photo again to open it"
            )
            yield PointNotice(text, i + 1, (x, y), "held")
    for number in photo.cut:
        side = ("left", "right")[number]
        yield Notice(
            f"the mask keeps a part of the eye on the {side} of the picture, so it cannot shut: "
            "make the mask white all around that eye"
        )


def _space(work: Work) -> tuple[npt.NDArray[np.float64], tuple[int, int]]:
    """Return the way from the aligned face to the space of the user's points, and its size."""
    info = work.inputs["align"].info
    if work.request.hints.get("warn_in") != "photo":
        return np.eye(3), sides(info["size"])[::-1]
    matrix = np.linalg.inv(np.array(info["photo_to_aligned"], dtype=np.float64))
    return matrix.astype(np.float64), tuple(info["photo_size"])
