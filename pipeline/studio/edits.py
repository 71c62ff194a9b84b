"""Edits of points and of the area that may change, held against the face before they are kept."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import Workspace
from pipeline.studio.desk import Desk
from pipeline.studio.sketch import (
    Pair,
    Sketch,
    What,
    keep_mask,
    mask_path,
    numbered,
)
from stylegan2.arrays import BoolImage
from stylegan2.sizes import sides

MAX_POINTS = 200

ROUNDED = 0.02
"""Pixels of the face by which a handle on a page may differ from where it is."""

How = Literal["replace", "paint", "erase"]
"""What a mask is sent for: to be the area, to be added to it, to be taken from it."""


def replace_points(desk: Desk, workspace: Workspace, points: Sequence[Mapping[str, Any]]) -> Sketch:
    """Put points in place of all others. Raises PointsInvalid, StageMissing."""
    new = _placed(numbered(points), desk.aligned(workspace))
    return desk.edit(workspace, "points", points=new)


def read_points_file(desk: Desk, workspace: Workspace, content: Mapping[str, Any]) -> Sketch:
    """Put the points of a points file in place of all others; its mask is a file elsewhere.

    Raises PointsInvalid, StageMissing.
    """
    from drag.points import parse_points, to_aligned

    info = desk.aligned(workspace).info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    parsed = parse_points(dict(content), Path())
    placed = to_aligned(parsed, matrix, info["size"], tuple(info["photo_size"])).points
    pairs = [{"handle": list(each.handle), "target": list(each.target)} for each in placed]
    return replace_points(desk, workspace, pairs)


def change_points(
    desk: Desk,
    workspace: Workspace,
    what: What,
    put: Sequence[Mapping[str, Any]],
    remove: Collection[int],
) -> Sketch:
    """Add, move and take away single points, whatever is done to the others at the same time.

    A point that another page has removed meanwhile stays removed. Raises PointsInvalid,
    StageMissing.
    """
    with desk.lock:
        before = desk.sketch(workspace).now.points
        moved = {each["number"]: each for each in put if each.get("number")}
        kept = [
            _moved(each, moved.get(each["number"], each))
            for each in before
            if each["number"] not in remove
        ]
        asked = numbered([*kept, *(each for each in put if not each.get("number"))])
        after = _placed(asked, desk.aligned(workspace))
        about = {
            each["number"] for each in (*before, *after) if (each in before) != (each in after)
        }
        return desk.edit(workspace, what, about.pop() if len(about) == 1 else None, points=after)


def _moved(before: Pair, after: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep a handle that nobody has moved: a page that watched a drag has it rounded."""
    same = math.dist(before["handle"], after["handle"]) < ROUNDED
    return {**after, "handle": before["handle"]} if same else after


def change_area(desk: Desk, workspace: Workspace, png: bytes, how: How) -> Sketch:
    """Change the area by a PNG of the aligned face's size; no bytes at all take it away.

    A brush sends its stroke alone: what another page has painted meanwhile stays. A stroke on
    nothing begins an area, and an eraser on nothing takes from the whole face. Raises
    PointsInvalid, StageMissing.
    """
    from pipeline.stages.artifact_files import png_bytes

    if not png:
        return desk.edit(workspace, "area", mask=None)
    aligned = desk.aligned(workspace)
    white = _decoded(png, aligned)
    with desk.lock:
        if how != "replace":
            kept = desk.sketch(workspace).now.mask
            if kept is not None:
                before = _decoded(mask_path(workspace.folder, kept).read_bytes(), aligned)
            else:
                before = np.full_like(white, how == "erase")
            white = before | white if how == "paint" else before & ~white
        mask = keep_mask(workspace.folder, png_bytes(white.astype(np.uint8) * 255))
        return desk.edit(workspace, "area", mask=mask)


def _placed(points: Sequence[Pair], aligned: Artifact) -> tuple[Pair, ...]:
    """Return points as they can be kept: a target beyond the face's crop comes to its edge.

    Raises PointsInvalid.
    """
    from drag.points import DragPoint, PointsFile, PointsInvalid, to_aligned

    if len(points) > MAX_POINTS:
        raise PointsInvalid(f"there can be {MAX_POINTS} points at most")
    handles = [tuple(each["handle"]) for each in points]
    if len(set(handles)) < len(handles):
        raise PointsInvalid("two points have one handle: every handle can have one target only")
    pairs = (
        DragPoint((hx, hy), (tx, ty))
        for (hx, hy), (tx, ty) in ((each["handle"], each["target"]) for each in points)
    )
    info = aligned.info
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    asked = PointsFile("aligned", tuple(pairs))
    placed = to_aligned(asked, matrix, info["size"], tuple(info["photo_size"])).points
    return tuple(
        Pair(number=each["number"], handle=list(point.handle), target=list(point.target))
        for each, point in zip(points, placed, strict=True)
    )


def _decoded(png: bytes, aligned: Artifact) -> BoolImage:
    from drag.masks import decode_mask
    from drag.points import PointsInvalid

    try:
        return decode_mask(io.BytesIO(png), sides(aligned.info["size"])[::-1], "the aligned face")
    except PointsInvalid as error:
        raise PointsInvalid(f"this mask cannot be used: {error}") from error
