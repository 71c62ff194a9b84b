"""Make the pictures and figures of the embedded generator's card.

python -m tools.model_card --data DATA

Writes samples.jpg (64 samples at psi 0.7, 64 at psi 1, ten interpolations) beside the weights, and
nearest.jpg (samples, and below each the training picture nearest to it). Prints how far samples
are from those, beside how far training pictures are from each other: a generator that knows its
pictures by heart draws samples that are nearer.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inversion.perceptual import OfflineDistance, PerceptualDistance
from stylegan2.checkpoint import load_generator
from stylegan2.embedded import embedded_path
from stylegan2.generator import Generator
from stylegan2.latents import to_ws
from tools.adversarial.packing import read_pack
from tools.samples import sample, sheet

COLUMNS = 16
SAMPLES = 64
INTERPOLATIONS = 10
BETWEEN = 8
TILE = 96
GAP = 6


@torch.no_grad()
def interpolations(generator: Generator, psi: float, seed: int) -> Tensor:
    """Walk in W between ten pairs of faces: [10 * BETWEEN, 3, R, R]."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(2 * INTERPOLATIONS, generator.config.z_dim, generator=rng)
    ends = generator.mapping(z, psi)
    pictures = []
    for a, b in zip(ends[::2], ends[1::2], strict=True):
        parts = torch.linspace(0, 1, BETWEEN)[:, None]
        pictures.append(generator.synthesis(to_ws(a + parts * (b - a), generator.num_ws)))
    return torch.cat(pictures)


def stacked(sheets: list[Image.Image]) -> Image.Image:
    """Put sheets below each other with white gaps."""
    height = sum(each.height for each in sheets) + GAP * (len(sheets) - 1)
    canvas = Image.new("RGB", (max(each.width for each in sheets), height), "white")
    top = 0
    for each in sheets:
        canvas.paste(each, (0, top))
        top += each.height + GAP
    return canvas


@torch.no_grad()
def nearest(
    pictures: Tensor, among: Tensor, distance: PerceptualDistance
) -> list[tuple[float, int]]:
    """Find each picture's nearest other one of a set (uint8 [N, 3, R, R]): distance and index."""
    small = torch.nn.functional.interpolate
    found = [(math.inf, -1)] * len(pictures)
    wanted = [distance.features(small(p[None], size=(64, 64), mode="area")) for p in pictures]
    for start in range(0, len(among), 128):
        chunk = among[start : start + 128]
        real = small(chunk.float() / 127.5 - 1, size=(64, 64), mode="area")
        features = distance.features(real)
        for i, own in enumerate(wanted):
            gaps = distance.between(features, own)
            # A training picture is not its own nearest one.
            least, index = torch.where(gaps > 1e-6, gaps, math.inf).min(dim=0)
            found[i] = min(found[i], (float(least), start + int(index)))
    return found


def main() -> None:
    """Make samples.jpg, and say how near samples are to training pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the packed faces that it was trained on")
    arguments = parser.parse_args()
    generator = load_generator(embedded_path()).eval().requires_grad_(False)
    calm, wild = (sample(generator, SAMPLES, psi, seed=1) for psi in (0.7, 1.0))
    walks = sheet(interpolations(generator, 0.7, seed=2), COLUMNS, TILE)
    path = embedded_path().parent / "samples.jpg"
    whole = stacked([sheet(calm, COLUMNS, TILE), sheet(wild, COLUMNS, TILE), walks])
    whole.save(path, quality=86, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    if arguments.data is not None:
        faces = read_pack(arguments.data, generator.resolution).images
        distance = OfflineDistance()
        rng = np.random.default_rng(0)
        some = faces[rng.choice(len(faces), SAMPLES, replace=False)].float() / 127.5 - 1
        for name, pictures in (("samples", calm), ("training pictures", some)):
            found = nearest(pictures, faces, distance)
            if pictures is calm:
                shown = faces[[index for _, index in found[:COLUMNS]]].float() / 127.5 - 1
                pair = stacked([sheet(calm[:COLUMNS], COLUMNS, TILE), sheet(shown, COLUMNS, TILE)])
                pair.save(path.with_name("nearest.jpg"), quality=86, optimize=True)
            quartiles = np.quantile([gap for gap, _ in found], (0, 0.25, 0.5, 0.75))
            words = ", ".join(f"{value:.3f}" for value in quartiles)
            print(f"{name} to the nearest training picture (least, quartiles): {words}")


if __name__ == "__main__":
    main()
