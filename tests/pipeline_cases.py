"""A tiny network, a photo and quick settings for tests of the pipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stylegan2.checkpoint import save_generator
from tests.factories import tiny_generator

SIZE = 32

QUICK_INVERT = ["--align", "none", "--perceptual", "offline", "--device", "cpu"]
QUICK_STEPS = {
    "invert": ["--steps", "6", "--start-samples", "20"],
    "tune": ["--steps", "5", "--locality-pool", "4", "--device", "cpu"],
    "drag": ["--steps", "6", "--device", "cpu"],
}


@dataclass(frozen=True)
class Case:
    """A folder with a photo, a network and points, and the command lines that use them."""

    folder: Path
    photo: Path
    network: Path
    points: Path

    @property
    def workspace(self) -> Path:
        """Where `invert` puts the photo's workspace."""
        return self.folder / f"{self.photo.stem}.realdrag"

    def invert(self, *more: str) -> list[str]:
        """Command line of invert."""
        quick = [*QUICK_INVERT, *QUICK_STEPS["invert"]]
        return ["invert", str(self.photo), "--network", str(self.network), *quick, *more]

    def tune(self, *more: str) -> list[str]:
        """Command line of tune."""
        return ["tune", *QUICK_STEPS["tune"], *more]

    def drag(self, *more: str) -> list[str]:
        """Command line of drag."""
        return ["drag", "--points", str(self.points), *QUICK_STEPS["drag"], *more]


def make_photo(path: Path, *, seed: int = 0, size: tuple[int, int] = (48, 40)) -> Path:
    """Write a colourful picture of (width, height)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    small.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def make_points(path: Path, *, space: str = "photo", mask: str | None = None) -> Path:
    """Write a points file with two points."""
    data = {
        "version": 1,
        "space": space,
        "points": [
            {"handle": [12, 14], "target": [16, 15]},
            {"handle": [24.5, 20], "target": [22, 22]},
        ],
    }
    path.write_text(json.dumps(data if mask is None else {**data, "mask": mask}))
    return path


def make_case(folder: Path) -> Case:
    """Write everything that a run needs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    network = folder / "tiny.safetensors"
    save_generator(tiny_generator(SIZE), network)
    return Case(
        folder,
        make_photo(folder / "photo.png"),
        network,
        make_points(folder / "points.json"),
    )
