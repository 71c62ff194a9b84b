"""The invert stage: an aligned face becomes a latent and its noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inversion.config import OFFLINE_PERCEPTUAL, ProjectionConfig
from inversion.encoder_networks import FaceEncoder
from inversion.encoder_weights import encoder_for
from inversion.fidelity import fidelity
from inversion.nearest import nearer, nearest_w
from inversion.projection import NEAR_RATE, Inversion, encoded_start, project, settled
from pipeline.machine.bench import Preview
from pipeline.machine.precision import bf16_from
from pipeline.progress import Job, Notice, Step
from pipeline.settings.schema import RecipeInvalid, config_from_json
from pipeline.stages.artifact_files import (
    LATENT,
    read_target,
    render,
    restored,
    stored,
    write_made,
    write_tensors,
)
from pipeline.stages.start_tables import Starts, read_starts
from pipeline.stages.work import Work
from stylegan2.arrays import UInt8Image
from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.latents import read_latents
from stylegan2.generator import Generator
from stylegan2.images import to_uint8
from stylegan2.latents import to_ws


def run(work: Work) -> Job[Mapping[str, Any]]:
    """Write latent.safetensors and inverted.png; settles perceptual."""
    asked, bench = work.request.config, work.bench
    config = config_from_json(ProjectionConfig, asked["projection"])
    perceptual = bench.perceptual(asked["perceptual"])
    if asked["perceptual"] == "auto" and perceptual.name == OFFLINE_PERCEPTUAL:
        yield Notice(
            "LPIPS' weights cannot be had: faces are compared with the offline distance "
            f"{perceptual.name}"
        )
    generator = bench.generator(work.request.hints["network"], asked["weights"])
    target = read_target(work.inputs["align"], bench.device)
    given, encoder = None, None
    if "start" in work.files:
        given = read_latents(work.files["start"], generator.num_ws, generator.w_dim)
    elif config.start == "auto":
        encoder = encoder_for(asked["weights"])
    config = _settled(config, encoder, given)
    near = given is not None or encoder is not None or config.start == "mean"
    starts = yield from read_starts(
        generator, asked["weights"], 0 if near else config.start_samples
    )
    first, source = given, _word(given, encoder, starts)
    if encoder is not None:
        first = encoded_start(encoder, target, config)
    elif starts.table is not None:
        first = nearest_w(starts.table, target, perceptual)
        if config.start == "auto":
            seen = yield from _encoded_beside(work, generator, target, config.space)
            if seen is not None and nearer(generator, target, perceptual, seen, first):
                first, source = seen, "file's encoder"
                if asked["projection"]["learning_rate"] is None:
                    config = replace(config, learning_rate=NEAR_RATE)
    rng = torch.Generator().manual_seed(asked["seed"])
    low = bf16_from(config.precision, bench.device, generator.resolution)
    latest = None
    for step in project(generator, target, perceptual, config, starts.statistics, rng, first, low):
        latest = step
        show = partial(_picture, generator, step.inversion)
        bench.show(Preview("invert", step.step, show))
        yield Step("invert", step.step, step.total, {"distance": step.distance})
    assert latest is not None
    tensors = stored(latest.inversion)
    write_tensors(work.draft, LATENT, tensors)
    inversion = restored(tensors, bench.device)
    picture = render(generator, inversion)
    write_made(work.draft, "inverted.png", picture)
    before = (starts.statistics.mean[None] if first is None else first).to(bench.device)
    with torch.no_grad():
        ws = before if before.ndim == 3 else to_ws(before, generator.num_ws)
        start = generator.synthesis(ws)
    work.draft.info.update(
        network=work.request.hints["network"],
        weights=asked["weights"],
        perceptual=perceptual.name,
        landmark_source=work.inputs["align"].info["landmark_source"],
        start=source,
        precision="fp32" if low is None else "bf16",
        stop="step_limit",
        steps=latest.step,
        space=config.space,
        fidelity={
            "before": fidelity(start, target, perceptual),
            "after": fidelity(picture, target, perceptual),
        },
    )
    return {"perceptual": perceptual.name}


def _settled(
    config: ProjectionConfig, encoder: FaceEncoder | None, given: Tensor | None
) -> ProjectionConfig:
    """Settle what a config leaves open. Raises RecipeInvalid where it does not fit the latents."""
    try:
        return settled(config, encoder, given)
    except ValueError as error:
        raise RecipeInvalid(f"{error}: leave space out, or make it w+") from None


def _encoded_beside(
    work: Work, generator: Generator, target: Tensor, space: str
) -> Job[Tensor | None]:
    """Return where the encoder in the network's file sees the photo: w, or ws in W+."""
    encoder = work.bench.style_encoder(work.request.hints["network"])
    if encoder is None:
        return None
    try:
        ws = encoder.ws(target.cpu(), generator.num_ws)
    except WeightsInvalid as error:
        yield Notice(f"the encoder in the network's file is not used: {error}")
        return None
    if ws.shape[2] != generator.w_dim:
        yield Notice("the encoder in the network's file is not used: it is for another network")
        return None
    return (ws if space == "w+" else ws.mean(dim=1)).to(target.device)


def _word(given: Tensor | None, encoder: FaceEncoder | None, starts: Starts) -> str:
    if given is not None:
        return "file"
    return "encoder" if encoder is not None else "mean" if starts.table is None else "nearest"


def _picture(generator: Generator, inversion: Inversion) -> UInt8Image:
    return to_uint8(render(generator, inversion))
