"""The parts of the way, with tensors and without a workspace."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from inversion.config import ProjectionConfig
from inversion.encoder_weights import encoder_for
from inversion.faces.alignment import AlignedFace, align, ffhq_quad
from inversion.faces.landmarks import choose_face, find_faces
from inversion.perceptual import PerceptualDistance, build_perceptual
from inversion.projection import Inversion, ProjectionStep, encoded_start, project, settled
from pipeline.machine.bench import Bench
from pipeline.picture.photo import read_photo
from pti.config import TuningConfig
from pti.tuning import TuningStep, tune
from pti.tuning import settled as settled_tuning
from stylegan2.arrays import UInt8Image
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator
from stylegan2.images import to_tensor, to_uint8
from stylegan2.latents import w_statistics

S = TypeVar("S")


def load_network(network: str | Path = "embedded", device: str = "cpu") -> Generator:
    """Load a StyleGAN2 generator: a known network's name, or a file of any format of the field.

    Raises WeightsInvalid, and DownloadFailed for a known network that cannot be fetched.
    """
    return Bench(device).generator(str(network))


def align_face(photo: str | Path | UInt8Image, size: int, face: int | None = None) -> AlignedFace:
    """Find a face and cut it out as FFHQ does, size x size pixels.

    photo is a file, or upright uint8 [H, W, 3]. face counts from 1, the largest first; None takes
    the largest. Raises PhotoUnreadable and NoFaceFound.
    """
    pixels = read_photo(photo).pixels if isinstance(photo, str | Path) else photo
    chosen = choose_face(find_faces(pixels).faces, face)
    return align(pixels, ffhq_quad(chosen), size)


def project_face(
    generator: Generator,
    face: UInt8Image,
    config: ProjectionConfig | None = None,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    perceptual: PerceptualDistance | None = None,
    progress: Callable[[ProjectionStep], object] | None = None,
) -> Inversion:
    """Find the latent and the noise whose picture looks like face, uint8 [H, W, 3].

    Goes on from start, ws [1, num_ws, w_dim], by no steps unless config says how many; else from
    the network's encoder where it has one and config does not say otherwise, else from the mean of
    W. The generator is not changed.
    """
    config = config or ProjectionConfig()
    device = next(generator.parameters()).device
    target = to_tensor(face, device)
    encoder = None
    if start is None and config.start == "auto":
        encoder = encoder_for(weights_hash(generator))
    config = settled(config, encoder, start)
    if encoder is not None:
        start = encoded_start(encoder, target, config)
    steps = project(
        generator,
        target,
        perceptual or build_perceptual("auto", device),
        config,
        w_statistics(generator),
        torch.Generator().manual_seed(seed),
        start,
    )
    return _last(steps, progress).inversion


def tune_to(
    generator: Generator,
    face: UInt8Image,
    inversion: Inversion,
    config: TuningConfig | None = None,
    *,
    seed: int = 0,
    perceptual: PerceptualDistance | None = None,
    progress: Callable[[TuningStep], object] | None = None,
) -> Generator:
    """Return a generator that renders face, uint8 [H, W, 3], at the inversion's latent (PTI).

    The generator that is given is not changed.
    """
    tuned = copy.deepcopy(generator)
    device = next(generator.parameters()).device
    steps = tune(
        tuned,
        [to_tensor(face, device)],
        [inversion],
        perceptual or build_perceptual("auto", device),
        settled_tuning(
            config or TuningConfig(),
            generator.resolution,
            encoded=encoder_for(weights_hash(generator)) is not None,
        ),
        torch.Generator().manual_seed(seed),
    )
    _last(steps, progress)
    return tuned.requires_grad_(False)


def render(generator: Generator, inversion: Inversion) -> UInt8Image:
    """Return the picture at an inversion's latent with its noise, uint8 [H, W, 3]."""
    with torch.no_grad():
        return to_uint8(generator.synthesis(inversion.w_pivot, inversion.noise_consts))


def _last(steps: Iterator[S], progress: Callable[[S], object] | None) -> S:
    """Run an algorithm to its end and return its last step."""
    last = None
    for last in steps:
        if progress is not None:
            progress(last)
    assert last is not None, "every algorithm takes a step at least"
    return last
