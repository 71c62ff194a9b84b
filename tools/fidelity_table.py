"""Measure projection and tuning on photos not trained on, from each of the three starts.

    python -m tools.fidelity_table faces [--photos d00 d01] > table.md

Reads faces/dev and writes Markdown for MODEL_CARD.md. Every start gets as many projection steps, in
W, so that the rows show what the start brings; the learning rate, and how it is tuned, are the
package's own for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.inversions import dev_photos, tuned_copy
from benchmarks.section import markdown_table
from inversion.config import ProjectionConfig
from inversion.encoder_weights import encoder_for
from inversion.fidelity import fidelity
from inversion.nearest import build_start_table, nearest_w
from inversion.perceptual import PerceptualDistance, build_perceptual
from inversion.projection import project, settled
from pti.config import TuningConfig
from pti.tuning import settled as settled_tuning
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.embedded import embedded_path
from stylegan2.generator import Generator
from stylegan2.latents import WStatistics, to_ws, w_statistics

PHOTOS = 20
STEPS = 100
"""Of projection."""

STARTS = ("encoder", "nearest", "mean")
MOMENTS = ("start", "projected", "tuned")
Figures = dict[str, float]


def start_latents(
    generator: Generator,
    targets: Tensor,
    perceptual: PerceptualDistance,
    statistics: WStatistics,
    samples: int,
) -> dict[str, Tensor]:
    """Return w [N, w_dim] of every start that this generator has."""
    table = build_start_table(generator, samples, torch.Generator().manual_seed(0))
    found = {
        "nearest": torch.cat([nearest_w(table, x[None], perceptual) for x in targets]),
        "mean": statistics.mean[None].expand(len(targets), -1),
    }
    encoder = encoder_for(weights_hash(generator))
    return found if encoder is None else {"encoder": encoder.w(targets), **found}


def measure(
    generator: Generator,
    target: Tensor,
    w: Tensor,
    perceptual: PerceptualDistance,
    statistics: WStatistics,
    projection: ProjectionConfig,
    tuning: TuningConfig,
) -> Iterator[tuple[str, Figures]]:
    """Project target [1, 3, R, R] from w [1, w_dim], then tune; yields each stage's figures."""
    with torch.no_grad():
        picture = generator.synthesis(to_ws(w, generator.num_ws))
    yield "start", fidelity(picture, target, perceptual)
    rng = torch.Generator().manual_seed(0)
    *_, last = project(generator, target, perceptual, projection, statistics, rng, w)
    found = last.inversion
    with torch.no_grad():
        picture = generator.synthesis(found.w_pivot, found.noise_consts)
    yield "projected", fidelity(picture, target, perceptual)
    tuned = tuned_copy(generator, [target], [found], perceptual, tuning, seed=0)
    with torch.no_grad():
        picture = tuned.synthesis(found.w_pivot, found.noise_consts)
    yield "tuned", fidelity(picture, target, perceptual)


def markdown(figures: dict[tuple[str, str], list[Figures]], name: str) -> str:
    """Write the means over photos, a row a start and stage; the least PSNR beside its mean."""
    rows = []
    for (start, stage), each in figures.items():
        mean = {key: float(np.mean([f[key] for f in each])) for key in each[0]}
        least = min(f["psnr"] for f in each)
        numbers = (f"{mean['perceptual']:.3f}", f"{mean['psnr']:.1f}", f"{least:.1f}")
        rows.append((start, stage, *numbers, f"{mean['ms_ssim']:.3f}"))
    header = ("start", "stage", name, "PSNR, dB", "least PSNR, dB", "MS-SSIM")
    return markdown_table(header, rows)


def fidelity_table(
    generator: Generator,
    targets: Tensor,
    perceptual: PerceptualDistance,
    steps: int = 0,
    tuning: TuningConfig | None = None,
) -> str:
    """Return the Markdown table of targets [N, 3, R, R] in [-1, 1]; steps 0 is the encoder's."""
    statistics = w_statistics(generator)
    samples = ProjectionConfig().start_samples
    starts = start_latents(generator, targets, perceptual, statistics, samples)
    encoder = encoder_for(weights_hash(generator))
    figures: dict[tuple[str, str], list[Figures]] = {
        (start, stage): [] for start in STARTS if start in starts for stage in MOMENTS
    }
    for start, latents in starts.items():
        encoded = start == "encoder"
        asked = ProjectionConfig(steps=steps or STEPS, space="w")
        projection = settled(asked, encoder if encoded else None)
        for i, target in enumerate(targets):
            found = measure(
                generator,
                target[None],
                latents[i : i + 1],
                perceptual,
                statistics,
                projection,
                settled_tuning(tuning or TuningConfig(), generator.resolution, encoded=encoded),
            )
            for stage, each in found:
                figures[start, stage].append(each)
            print(f"{start} {i + 1}/{len(targets)}", file=sys.stderr, flush=True)
    return markdown(figures, perceptual.name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of the embedded generator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="folder with dev/")
    parser.add_argument("--photos", nargs="*", default=[], help=f"default: the first {PHOTOS}")
    parser.add_argument("--perceptual", default="offline")
    args = parser.parse_args(arguments)
    generator = load_generator(embedded_path())
    names = args.photos or [f"d{i:02d}" for i in range(PHOTOS)]
    photos = dev_photos(args.faces, generator.resolution)
    targets = torch.cat([photo.target for photo in photos if photo.name in names])
    print(f"Means over {len(targets)} photos of people who were not trained on.\n")
    print(fidelity_table(generator, targets, build_perceptual(args.perceptual)))


if __name__ == "__main__":
    main()
