"""The tune stage: the generator learns one photo, or several, by heart."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from inversion.config import CLOSE_PSNR
from inversion.fidelity import fidelity
from inversion.perceptual import PerceptualDistance
from inversion.projection import Inversion
from pipeline.machine.bench import Preview
from pipeline.machine.precision import bf16_from
from pipeline.progress import Job, Notice, Step
from pipeline.settings.schema import RecipeInvalid, config_from_json
from pipeline.stages.artifact_files import (
    DELTA,
    base_generator,
    read_inversion,
    read_target,
    render,
    write_made,
    write_tensors,
)
from pipeline.stages.work import Work
from pti.config import TuningConfig
from pti.tuning import TuningStep, settled, tune, tuned_blocks
from stylegan2.arrays import UInt8Image
from stylegan2.checkpoint import apply_delta, weight_delta
from stylegan2.generator import Generator
from stylegan2.images import to_uint8


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write the difference of the weights and a tuned picture of each photo."""
    asked, bench = work.request.config, work.bench
    config = config_from_json(TuningConfig, asked["tuning"])
    count = asked["photos"]
    inverts = [work.inputs[f"invert.{i}"] for i in range(count)]
    base = base_generator(bench, inverts[0])
    config = settled(config, base.resolution, encoded=inverts[0].info["start"] == "encoder")
    _check_blocks(base, config)
    perceptual = bench.perceptual(asked["perceptual"])
    inversions = [read_inversion(invert, bench.device) for invert in inverts]
    targets = [read_target(work.inputs[f"align.{i}"], bench.device) for i in range(count)]
    tuned = copy.deepcopy(base)
    rng = torch.Generator().manual_seed(asked["seed"])
    low = bf16_from(config.precision, bench.device, base.resolution)
    last: TuningStep | None = None

    def show() -> UInt8Image:
        return to_uint8(render(tuned, inversions[0]))

    for step in tune(tuned, targets, inversions, perceptual, config, rng, low):
        last = step
        bench.show(Preview("tune", step.step, show))
        values = {"perceptual": step.perceptual, "l2": step.l2}
        yield Step("tune", step.step, step.total, values)
    assert last is not None
    delta = weight_delta(base, tuned)
    write_tensors(work.draft, DELTA, delta)
    # What was stored is rounded, so everything from here on is rendered from what was stored.
    stored = apply_delta(base, delta)
    photos = []
    for i, (inversion, target) in enumerate(zip(inversions, targets, strict=True)):
        picture = render(stored, inversion)
        write_made(work.draft, f"tuned-{i}.png", picture)
        photos.append(_fidelity(base, inversion, picture, target, perceptual))
    worst = min(photos, key=lambda each: each["after"]["psnr"])
    if worst["after"]["psnr"] < CLOSE_PSNR:
        yield Notice(
            f"the tuned picture is still {worst['after']['psnr']:.1f} dB from the photo (good is "
            f"{CLOSE_PSNR:.0f} and more): compare tuned.png with aligned.png before dragging; more "
            "steps, or another network, may help"
        )
    work.draft.info.update(
        network=inverts[0].request.hints["network"],
        weights=inverts[0].request.config["weights"],
        perceptual=perceptual.name,
        landmark_source=[work.inputs[f"align.{i}"].info["landmark_source"] for i in range(count)],
        precision="fp32" if low is None else "bf16",
        stop=last.stop,
        steps=last.step,
        fidelity=worst,
        photos=photos,
    )
    return {}


def _fidelity(
    base: Generator,
    inversion: Inversion,
    picture: Tensor,
    target: Tensor,
    perceptual: PerceptualDistance,
) -> dict[str, dict[str, float]]:
    before = render(base, inversion)
    return {
        "before": fidelity(before, target, perceptual),
        "after": fidelity(picture, target, perceptual),
    }


def _check_blocks(generator: Generator, config: TuningConfig) -> None:
    """Raise RecipeInvalid when no block of this network is to be tuned."""
    try:
        tuned_blocks(generator, config)
    except ValueError as error:
        raise RecipeInvalid(str(error)) from None
