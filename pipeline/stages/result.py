"""The result stage: the edited face goes back into the photo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.disk.tuned_picture import tuned_picture
from pipeline.picture.composite import paste_back
from pipeline.picture.photo import read_photo
from pipeline.picture.photo_writer import lost_depth, write_photo
from pipeline.progress import Job, Notice, Step
from pipeline.stages.artifact_files import read_pixels
from pipeline.stages.moved import read_moved
from pipeline.stages.work import Work
from stylegan2.arrays import Float64Array, UInt8Image

COMPARE_SIDE = 768
"""Largest side of each half of compare.png."""

COMPARE_MARGIN = 0.15
"""What compare.png shows around the crop, as a share of the crop."""


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write the whole photo with the edited face, and compare.png."""
    config = work.request.config["result"]
    align, drag = work.inputs["align"], work.inputs["drag"]
    photo = read_photo(align.path(align.info["photo"]))
    quad = np.array(align.info["quad"], dtype=np.float64)
    if drag.info["pixels"] == "network":
        tune = work.inputs["tune"]
        tuned = read_pixels(tune, tuned_picture(tune, drag.request.inputs["invert"]))
        edited = paste_back(photo.pixels, quad, tuned, read_pixels(drag, "network.png"))
    else:
        edited = read_moved(drag).of(photo.pixels, quad)
    name = f"result.{config['format']}"
    if (notice := lost_depth(photo, config["format"])) is not None:
        yield Notice(notice)
    write_photo(
        edited,
        work.draft.path(name),
        photo,
        keep_gps=config["keep_gps"],
        strip_metadata=config["strip_metadata"],
    )
    yield Step("result", 1, 2, {})
    write_photo(compare(photo.pixels, edited, quad), work.draft.path("compare.png"))
    yield Step("result", 2, 2, {})
    work.draft.info.update(
        photo=align.info["photo"],
        size=[edited.shape[1], edited.shape[0]],
        stop=drag.info["stop"],
        distances=drag.info["distances"],
    )
    return {}


def compare(before: UInt8Image, after: UInt8Image, quad: Float64Array) -> UInt8Image:
    """Put the region of the face before and after side by side: uint8 [h, 2 w, 3]."""
    import cv2  # large; only an edit needs it

    height, width = before.shape[:2]
    low, high = quad.min(axis=0), quad.max(axis=0)
    margin = COMPARE_MARGIN * (high - low)
    x0, y0 = np.floor((low - margin).clip(0)).astype(int)
    x1, y1 = np.ceil((high + margin).clip(None, [width, height])).astype(int)
    shrunk = min(1.0, COMPARE_SIDE / max(y1 - y0, x1 - x0))
    size = max(1, round(shrunk * (x1 - x0))), max(1, round(shrunk * (y1 - y0)))
    halves = [
        cv2.resize(pixels[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)
        for pixels in (before, after)
    ]
    return np.concatenate(halves, axis=1)
