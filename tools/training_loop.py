"""What every training run of a generator does beside learning.

Options, checkpoints, pictures, curves, and how far samples are from photos.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.frechet import frechet_distance, pooled_features
from benchmarks.plots import lines
from inversion.encoder import Encoder
from inversion.perceptual import OfflineDistance
from stylegan2.checkpoint import save_generator
from stylegan2.generator import Generator
from stylegan2.latents import to_ws
from tools.faces import Faces, draw_batch
from tools.samples import sample, sheet

CHECKPOINT = "state.pt"
"""In a run's folder."""

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

    def load(self, path: Path) -> None:
        """Continue where `save` left off."""

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
    distance = OfflineDistance()
    some = faces.images[:: -(-len(faces) // PHOTOS)].float() / 127.5 - 1
    photos = pooled_features(some.split(1), distance)
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
        drawn = pooled_features(sample(generator, JUDGED, 1.0, seed=0).split(1), distance)
        line["frechet"] = frechet_distance(drawn, photos)
        line["kimg"] = training.images / 1000
        line["per_second"] = max(map(len, sums.values())) * config.batch / (now - saved)
        training.history.append(line)
        print(json.dumps({name: round(value, 4) for name, value in line.items()}), flush=True)
        training.save(folder / CHECKPOINT)
        save_generator(training.ema, folder / "generator.safetensors")
        sample_grid(generator, encoder, faces, folder / "samples.png")
        if PLOTS:
            draw_curves(training.history, folder / "curves.png")
        if over:
            return
        saved, sums = time.monotonic(), {}


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


@torch.no_grad()
def follow(pairs: Iterable[tuple[nn.Module, nn.Module]], batch: int, half_life: float) -> None:
    """Move each average, the first of a pair, towards its live network; half_life in pictures."""
    beta = 0.5 ** (batch / half_life)
    for average, live in pairs:
        for p_average, p in zip(average.parameters(), live.parameters(), strict=True):
            p_average.lerp_(p, 1 - beta)


def resumed(training: Training, folder: Path) -> bool:
    """Make the run's folder, and continue what was saved there, if anything was."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / CHECKPOINT).exists():
        return False
    training.load(folder / CHECKPOINT)
    return True


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
    rebuilt = generator.synthesis(to_ws(w, generator.num_ws)).cpu()
    drawn = [sample(generator, 2 * columns, psi, seed=0) for psi in (0.7, 1.0)]
    sheet(torch.cat([*drawn, real, rebuilt]), columns).save(path)
