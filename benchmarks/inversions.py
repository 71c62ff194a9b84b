"""Development photos as latents and tuned networks, kept in the work folder between runs."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.section import Options, SectionSkipped
from inversion.encoder_weights import encoder_for
from inversion.faces.alignment import align, photo_to_aligned, placed
from inversion.nearest import build_start_table, nearest_w
from inversion.perceptual import PerceptualDistance
from inversion.projection import Inversion, ProjectionConfig, encoded_start, project, settled
from pipeline.picture.photo import read_photo
from pti.config import TuningConfig
from pti.tuning import settled as settled_tuning
from pti.tuning import tune
from stylegan2.arrays import Float64Array
from stylegan2.checkpoint import apply_delta, weight_delta, weights_hash
from stylegan2.generator import Generator
from stylegan2.images import to_tensor
from stylegan2.latents import WStatistics, w_statistics

QUICK_TUNING = TuningConfig(steps=60)
"""What the quick form can afford; the full form tunes as realdrag does."""


@dataclass(frozen=True)
class DevPhoto:
    """An aligned development photo [1, 3, R, R] and its five landmarks in pixels of that."""

    name: str
    target: Tensor
    five: Float64Array


@dataclass(frozen=True)
class TunedPhoto:
    """A photo, its inversion, the network tuned to it, and the seconds that both took."""

    photo: DevPhoto
    inversion: Inversion
    generator: Generator
    projection_seconds: float
    tuning_seconds: float


def dev_photos(faces: Path | None, resolution: int, device: str = "cpu") -> Iterator[DevPhoto]:
    """Yield the development photos in their order. Raises SectionSkipped where there are none."""
    if faces is None:
        raise SectionSkipped("it needs photos of people: name their folder with --faces FOLDER")
    listing = faces / "dev_landmarks.npz"
    if not listing.is_file():
        raise SectionSkipped(f"{listing} is not there: --faces must name the folder that has it")
    with np.load(listing, allow_pickle=False) as stored:
        names, quads, fives = stored["id"], stored["quad"], stored["photo5"]
    for name, quad, five in zip(names, quads, fives, strict=True):
        pixels = read_photo(faces / "dev" / f"{name}.jpg").pixels
        target = to_tensor(align(pixels, quad, resolution).image, device)
        matrix = photo_to_aligned(quad, resolution)
        yield DevPhoto(str(name), target, placed(matrix, five.astype(np.float64)))


class Inverter:
    """Projects and tunes photos with one network, and remembers what it did."""

    def __init__(
        self, options: Options, generator: Generator, perceptual: PerceptualDistance
    ) -> None:
        self.generator = generator
        self.perceptual = perceptual
        self.seed = options.seed
        self.weights = weights_hash(generator)
        self.statistics: WStatistics = w_statistics(generator)
        self.encoder = encoder_for(self.weights)
        self._folder = options.work / "inversions" / self.weights[:12]

    def start(self, target: Tensor, config: ProjectionConfig) -> Tensor:
        """Return where a settled projection of a photo starts, as the invert stage does."""
        if self.encoder is not None:
            return encoded_start(self.encoder, target, config)
        rng = torch.Generator().manual_seed(self.seed)
        table = build_start_table(self.generator, ProjectionConfig().start_samples, rng)
        return nearest_w(table, target, self.perceptual)

    def settled(self, config: ProjectionConfig) -> ProjectionConfig:
        """Put numbers in place of what a config leaves open, as the invert stage does."""
        return settled(config, self.encoder)

    def invert(self, photo: DevPhoto, config: ProjectionConfig) -> tuple[Inversion, float]:
        """Project a photo, or remember it; returns the inversion and the seconds it took."""
        config = self.settled(config)
        path = self._path(photo.name, config)
        if path.exists():
            kept = load_file(path, device=str(photo.target.device))
            seconds = float(kept.pop("seconds"))
            return Inversion(kept.pop("w_pivot"), kept), seconds
        started = time.perf_counter()
        rng = torch.Generator().manual_seed(self.seed)
        start = self.start(photo.target, config)
        *_, last = project(
            self.generator, photo.target, self.perceptual, config, self.statistics, rng, start
        )
        seconds = time.perf_counter() - started
        inversion = last.inversion
        self._keep(path, {"w_pivot": inversion.w_pivot, **inversion.noise_consts}, seconds)
        return inversion, seconds

    def tune(
        self, photo: DevPhoto, projection: ProjectionConfig, tuning: TuningConfig
    ) -> TunedPhoto:
        """Project a photo and tune the network to it, or remember both."""
        inversion, projection_seconds = self.invert(photo, projection)
        tuning = settled_tuning(tuning, self.generator.resolution, encoded=self.encoder is not None)
        path = self._path(photo.name, self.settled(projection), tuning)
        if path.exists():
            delta = load_file(path)
            seconds = float(delta.pop("seconds"))
        else:
            started = time.perf_counter()
            tuned = tuned_copy(
                self.generator, [photo.target], [inversion], self.perceptual, tuning, self.seed
            )
            seconds = time.perf_counter() - started
            delta = weight_delta(self.generator, tuned)
            self._keep(path, delta, seconds)
        generator = apply_delta(self.generator, delta)
        return TunedPhoto(photo, inversion, generator, projection_seconds, seconds)

    def _path(self, name: str, *configs: ProjectionConfig | TuningConfig) -> Path:
        asked = [self.perceptual.name, self.seed, *(asdict(config) for config in configs)]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{name}-{digest[:12]}.safetensors"

    def _keep(self, path: Path, tensors: dict[str, Tensor], seconds: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file({**kept, "seconds": torch.tensor(seconds)}, part)
        part.replace(path)


def tuned_copy(
    generator: Generator,
    targets: list[Tensor],
    inversions: list[Inversion],
    perceptual: PerceptualDistance,
    config: TuningConfig,
    seed: int,
) -> Generator:
    """Return a copy of the generator, tuned to the photos."""
    tuned = copy.deepcopy(generator)
    rng = torch.Generator().manual_seed(seed)
    for _ in tune(tuned, targets, inversions, perceptual, config, rng):
        pass
    return tuned
