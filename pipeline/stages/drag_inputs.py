"""What a drag begins with: the picture, what may change in it, settings that fit the network."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from drag.config import DragConfig
from drag.masks import movable_mask
from drag.points import PointsFile
from pipeline.disk.tuned_picture import tuned_picture
from pipeline.progress import Job, Notice
from pipeline.settings.schema import RecipeInvalid
from pipeline.stages.artifact_files import read_pixels
from pipeline.stages.ground import Ground
from pipeline.stages.work import Work
from stylegan2.generator import Generator
from stylegan2.images import to_tensor


def picture_before(work: Work, ground: Ground) -> Tensor:
    """Return the network's picture that the drag starts from: what a mask protects stays so."""
    if "from" in work.inputs:
        return to_tensor(read_pixels(work.inputs["from"], "network.png"), work.bench.device)
    if "tune" in work.inputs:
        tune = work.inputs["tune"]
        tuned = read_pixels(tune, tuned_picture(tune, work.request.inputs["invert"]))
        return to_tensor(tuned, work.bench.device)
    return ground.render(ground.ws)


def check_config(generator: Generator, config: DragConfig) -> None:
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


def movable_area(work: Work) -> Job[Tensor | None]:
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
