"""What every training run of a generator does beside learning.

Options, checkpoints, pictures, curves, and how far samples are from photos.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.frechet import Float64, frechet_distance, pooled_features
from benchmarks.plots import lines
from inversion.encoder import Encoder
from inversion.perceptual import OfflineDistance
from stylegan2.checkpoint import save_generator
from stylegan2.generator import Generator
from tools.faces import Faces, draw_batch

JUDGED = 256
"""Samples whose distance from photos is measured at each checkpoint, at psi 1."""

PHOTOS = 1024
"""Photos that they are held against."""

PLOTS = find_spec("matplotlib") is not None
"""Whether curves can be drawn."""


class Training(Protocol):
    """A run's whole state, and how it learns from a batch of pictures [N, 3, R, R] in [-1, 1]."""

    config: Any
    ema: Generator
    ema_encoder: Encoder
    rng: torch.Generator
    images: int
    history: list[dict[str, float]]

    def train_step(self, real: Tensor) -> dict[str, float]:
        """Update everything once; return the losses."""

    def save(self, path: Path) -> None:
        """Write the whole state."""

    def shown(self, faces: Faces) -> tuple[Generator, Encoder]:
        """Return what to make the pictures with that one looks at."""


def add_options(parser: argparse.ArgumentParser, defaults: Any) -> None:
    """Add what every run takes, and each field of its configuration."""
    parser.add_argument(
        "faces", type=Path, help="folder with aligned/, landmarks.npz and index.tsv"
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for checkpoints and pictures"
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many minutes")
    parser.add_argument("--save-minutes", type=float, default=4.0)
    for name, value in asdict(defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)


def chosen(arguments: argparse.Namespace, defaults: Any) -> Any:
    """Build the configuration that the options describe."""
    return type(defaults)(**{name: getattr(arguments, name) for name in asdict(defaults)})


def run(training: Training, faces: Faces, arguments: argparse.Namespace, kimg: float) -> None:
    """Train until the minutes or the thousands of pictures are over; keep all in the run's folder.

    Every few minutes it writes state.pt, generator.safetensors, samples.png and, where matplotlib
    is installed, curves.png, and prints the mean losses since the last time, with *frechet*: the
    Frechet distance (Heusel et al., 2017) of samples to photos on the offline distance's features.
    """
    folder: Path = arguments.run
    config = training.config
    print(f"{len(faces)} pictures, continuing at {training.images / 1000:.1f} kimg", flush=True)
    if not PLOTS:
        print("no curves.png: matplotlib is not installed (pip install '.[bench]')", flush=True)
    some = faces.images[:: -(-len(faces) // PHOTOS)].float() / 127.5 - 1
    photos = features_of(some)
    started = saved = time.monotonic()
    sums: dict[str, list[float]] = {}
    while True:
        real = draw_batch(faces, config.batch, training.rng, config.warp)
        for name, value in training.train_step(real).items():
            sums.setdefault(name, []).append(value)
        now = time.monotonic()
        over = (now - started) / 60 >= arguments.minutes or training.images / 1000 >= kimg
        if not over and (now - saved) / 60 < arguments.save_minutes:
            continue
        generator, encoder = training.shown(faces)
        line = {name: float(np.mean(values)) for name, values in sums.items()}
        line["frechet"] = frechet_distance(features_of(samples(generator, JUDGED)), photos)
        line["kimg"] = training.images / 1000
        line["per_second"] = max(map(len, sums.values())) * config.batch / (now - saved)
        training.history.append(line)
        print(json.dumps({name: round(value, 4) for name, value in line.items()}), flush=True)
        training.save(folder / "state.pt")
        save_generator(training.ema, folder / "generator.safetensors")
        sample_grid(generator, encoder, faces, folder / "samples.png")
        if PLOTS:
            draw_curves(training.history, folder / "curves.png")
        if over:
            return
        saved, sums = time.monotonic(), {}


@torch.no_grad()
def samples(generator: Generator, n: int, psi: float = 1.0) -> Tensor:
    """Draw n pictures [n, 3, R, R], always from the same z; they come on the CPU."""
    rng = torch.Generator().manual_seed(0)
    device = next(generator.parameters()).device
    z = torch.randn(n, generator.config.z_dim, generator=rng)
    return torch.cat([generator(part.to(device), psi).cpu() for part in z.split(32)])


def features_of(pictures: Tensor) -> Float64:
    """Return what the Frechet distance compares of pictures [N, 3, R, R]: [N, D]."""
    return pooled_features(pictures.split(1), OfflineDistance())


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write one panel for each figure of a run's history, over thousands of pictures."""
    names = dict.fromkeys(name for line in history for name in line)
    panels = {
        name: {"": [(line["kimg"], line[name]) for line in history if name in line]}
        for name in names
        if name != "kimg"
    }
    lines(path, panels, x_label="thousand pictures", y_label="", columns=3)


def pixel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Compare pictures [N, 3, R, R] by their pixels, at their own size and halved down to 8."""
    gaps = []
    while x.shape[-1] >= 8:
        gaps.append((x - y).abs().mean())
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return torch.stack(gaps).sum() / 4


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a state; the previous file stays until the new one is complete."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


@torch.no_grad()
def sample_grid(
    generator: Generator, encoder: Encoder, faces: Faces, path: Path, columns: int = 12
) -> None:
    """Write samples at psi 0.7 and psi 1, then real faces above their rebuilt ones."""
    real = faces.images[:: max(1, len(faces) // columns)][:columns].float() / 127.5 - 1
    w = encoder(real.to(next(encoder.parameters()).device))
    rebuilt = generator.synthesis(w[:, None].expand(-1, generator.num_ws, -1)).cpu()
    drawn = [samples(generator, 2 * columns, psi) for psi in (0.7, 1.0)]
    write_grid(torch.cat([*drawn, real, rebuilt]), path, columns)


def write_grid(tiles: Tensor, path: Path, columns: int) -> None:
    """Write pictures [N, 3, R, R] in [-1, 1] as one PNG, `columns` beside each other."""
    n, _, size, _ = tiles.shape
    pixels = (tiles.float().cpu() * 127.5 + 127.5).round().clamp(0, 255).byte()
    rows = n // columns
    grid = pixels[: rows * columns].reshape(rows, columns, 3, size, size).permute(0, 3, 1, 4, 2)
    Image.fromarray(
        np.ascontiguousarray(grid.reshape(rows * size, columns * size, 3).numpy())
    ).save(path)
