"""What every training run of a generator does beside learning: options, checkpoints, pictures."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inversion.encoder import Encoder
from stylegan2.checkpoint import save_generator
from stylegan2.generator import Generator
from tools.faces import Faces, draw_batch


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

    Every few minutes it writes state.pt, generator.safetensors and samples.png, and prints the mean
    losses since the last time.
    """
    folder: Path = arguments.run
    config = training.config
    print(f"{len(faces)} pictures, continuing at {training.images / 1000:.1f} kimg", flush=True)
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
        line = {name: float(np.mean(values)) for name, values in sums.items()}
        line["kimg"] = training.images / 1000
        line["per_second"] = max(map(len, sums.values())) * config.batch / (now - saved)
        training.history.append(line)
        print(json.dumps({name: round(value, 4) for name, value in line.items()}), flush=True)
        training.save(folder / "state.pt")
        save_generator(training.ema, folder / "generator.safetensors")
        sample_grid(training, faces, folder / "samples.png")
        if over:
            return
        saved, sums = time.monotonic(), {}


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
def sample_grid(training: Training, faces: Faces, path: Path, columns: int = 12) -> None:
    """Write samples at psi 0.7 and psi 1, then real faces above their rebuilt ones."""
    generator, encoder = training.shown(faces)
    like = next(generator.parameters())
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2 * columns, generator.config.z_dim, generator=rng).to(like.device)
    real = faces.images[:: max(1, len(faces) // columns)][:columns]
    real = real.float().to(like.device) / 127.5 - 1
    rebuilt = generator.synthesis(encoder(real)[:, None].expand(-1, generator.num_ws, -1))
    write_grid(torch.cat([generator(z, 0.7), generator(z), real, rebuilt]), path, columns)


def write_grid(tiles: Tensor, path: Path, columns: int) -> None:
    """Write pictures [N, 3, R, R] in [-1, 1] as one PNG, `columns` beside each other."""
    n, _, size, _ = tiles.shape
    pixels = (tiles.float().cpu() * 127.5 + 127.5).round().clamp(0, 255).byte()
    rows = n // columns
    grid = pixels[: rows * columns].reshape(rows, columns, 3, size, size).permute(0, 3, 1, 4, 2)
    Image.fromarray(
        np.ascontiguousarray(grid.reshape(rows * size, columns * size, 3).numpy())
    ).save(path)
