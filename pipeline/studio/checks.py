"""What a page sends, held against the aligned face before it becomes an edit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.disk.artifact import Artifact
from pipeline.studio.sketch import PointPair, points_json


def check_points(points: Sequence[PointPair], aligned: Artifact) -> None:
    """Hold points, in pixels of the aligned face, against it. Raises PointsInvalid."""
    from drag.points import parse_points, to_aligned

    if not points:
        return
    info = aligned.info
    parsed = parse_points(points_json(points, None), Path())
    matrix = np.array(info["photo_to_aligned"], dtype=np.float64)
    to_aligned(parsed, matrix, info["size"], tuple(info["photo_size"]))


def grey_mask(png: bytes, aligned: Artifact) -> bytes | None:
    """Return a mask as a grey PNG of the aligned face's size; no bytes at all are no mask.

    Raises PointsInvalid.
    """
    if not png:
        return None
    from drag.masks import decode_mask
    from drag.points import PointsInvalid
    from pipeline.stages.artifact_files import png_bytes

    size = int(aligned.info["size"])
    try:
        white = decode_mask(io.BytesIO(png), (size, size), "the aligned face")
    except PointsInvalid as error:
        raise PointsInvalid(f"this mask cannot be used: {error}") from error
    return png_bytes(white.astype(np.uint8) * 255)
