"""Measure a generator and its encoders with features that nothing here was trained on.

    python -m tools.measure_generator DATA --inception inception_v3.json inception_v3.bin
        [--network embedded-128 | --results runs/faces/results] [--held-out OTHER]

Frechet distance (Heusel et al., 2017, arXiv 1706.08500), precision and recall (Kynkaanniemi et al.,
2019, arXiv 1904.06991) of samples beside the packed photos of DATA, on InceptionV3; and how near
the photos of OTHER, packed of people who were left out of DATA, are to themselves, encoded in W
and in W+. Without --results an embedded generator is measured. Few samples make every distance
larger: compare only figures of equally many. Features of photos are kept in DATA. The photos of
OTHER are told by the tone of their cheeks as well, in thirds: light, middle, dark.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from skimage.color import rgb2lab
from torch import Tensor

from benchmarks.frechet import frechet_distance
from benchmarks.section import markdown_table
from inversion.encoder_networks import FaceEncoder
from inversion.encoder_weights import encoder_for
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.embedded import EMBEDDED, EMBEDDED_NETWORKS, embedded_path
from stylegan2.generator import Generator
from stylegan2.latents import to_ws
from tools.adversarial.packing import read_pack
from tools.adversarial.storing import read_drawing
from tools.keras_graph import KerasGraph
from tools.samples import sample

LAYER = "mixed10"
LOOKED_AT = 299
NEIGHBOURS = 3
"""Radius of a picture's neighbourhood: the distance to its third nearest one."""

CHEEKS = ((0.30, 0.62), (0.70, 0.62))
"""Where cheeks lie in an aligned picture, xy, and the side of the squares that are looked at."""
CHEEK_SIDE = 0.08

Float64 = npt.NDArray[np.float64]


@torch.no_grad()
def pooled(network: KerasGraph, pictures: Iterable[Tensor]) -> Float64:
    """Return mean features [N, D] of batches of pictures [n, 3, R, R] in [-1, 1]."""
    rows = []
    for batch in pictures:
        size = (LOOKED_AT, LOOKED_AT)
        x = F.interpolate(batch, size=size, mode="bicubic", align_corners=False).clamp(-1, 1)
        rows.append(network(x)[0].mean(dim=(2, 3)).double().numpy())
    return np.concatenate(rows)


def spread(images: Tensor, most: int) -> Tensor:
    """Pick at most so many of uint8 pictures, evenly; in [-1, 1]."""
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return images[torch.from_numpy(chosen)].float() / 127.5 - 1


def photo_features(network: KerasGraph, data: Path, most: int) -> Float64:
    """Return features of packed photos [N, D], made once and kept beside them."""
    kept = data / f"inception-{most}.npy"
    if not kept.exists():
        images = read_pack(data).images
        np.save(kept, pooled(network, spread(images, most).split(16)))
    found: Float64 = np.load(kept)
    return found


def precision_and_recall(drawn: Float64, photos: Float64) -> tuple[float, float]:
    """Return which part of `drawn` [N, D] lies among `photos` [M, D], and the other way round."""

    def covered(points: Float64, by: Float64) -> float:
        centres = torch.from_numpy(by)
        own = torch.cdist(centres, centres).fill_diagonal_(0)
        radius = own.sort(dim=1).values[:, NEIGHBOURS]
        near = torch.cdist(torch.from_numpy(points), centres) <= radius
        return float(near.any(dim=1).double().mean())

    return covered(drawn, photos), covered(photos, drawn)


@torch.no_grad()
def rebuilt_psnr(generator: Generator, encoder: FaceEncoder, photos: Tensor) -> Float64:
    """Return the PSNR of photos [N, 3, R, R] in dB, encoded in W, and in W+ if there is one: [N, 1
    or 2]."""
    rows = []
    for photo in photos.split(1):
        ways = [to_ws(encoder.w(photo), generator.num_ws)]
        if encoder.delta is not None:
            ways.append(encoder.ws(photo, generator.num_ws))
        errors = [(generator.synthesis(ws).clamp(-1, 1) - photo).square().mean() for ws in ways]
        rows.append([float(10 * torch.log10(4 / error)) for error in errors])
    return np.array(rows, np.float64)


def skin_tones(photos: Tensor) -> Float64:
    """Return the individual typology angle of the cheeks of photos [N, 3, R, R], in degrees: [N].

    The lighter the skin, the larger (Chardon et al., 1991); a photo's light counts, too.
    """
    side = photos.shape[-1]
    half = round(CHEEK_SIDE * side / 2)
    places = [(round(x * side), round(y * side)) for x, y in CHEEKS]
    squares = [photos[..., y - half : y + half, x - half : x + half].flatten(2) for x, y in places]
    rgb = ((torch.cat(squares, dim=2).median(dim=2).values + 1) / 2).double().numpy()
    lab = np.array([rgb2lab(each[None, None])[0, 0] for each in rgb])
    return np.asarray(np.degrees(np.arctan2(lab[:, 0] - 50, lab[:, 2])), np.float64)


def by_tone(psnr: Float64, tones: Float64) -> list[tuple[str, ...]]:
    """Return rows of the mean PSNR of all, and of the thirds by tone, light first."""
    light_first = np.argsort(-tones)
    groups = [("all", light_first)]
    groups += zip(("light", "middle", "dark"), np.array_split(light_first, 3), strict=True)
    return [
        (name, str(len(ids)), *(f"{value:.1f}" for value in psnr[ids].mean(axis=0)))
        for name, ids in groups
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each psi, and the PSNR of people left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the packed faces")
    parser.add_argument("--inception", type=Path, nargs=2, metavar=("JSON", "BIN"), required=True)
    measured = parser.add_mutually_exclusive_group()
    names = [each.name for each in EMBEDDED_NETWORKS]
    measured.add_argument("--network", choices=names, default=EMBEDDED)
    measured.add_argument("--results", type=Path, help="of a training run")
    parser.add_argument("--held-out", type=Path, help="folder of packed people left out")
    parser.add_argument("--samples", type=int, default=700)
    parser.add_argument("--photos", type=int, default=1200, help="of DATA, at most")
    parser.add_argument("--people", type=int, default=44, help="photos of OTHER, at most")
    asked = parser.parse_args(arguments)
    encoder: FaceEncoder | None
    if asked.results is not None:
        generator, encoder = read_drawing(asked.results)
    else:
        generator = load_generator(embedded_path(asked.network))
        encoder = encoder_for(weights_hash(generator))
    model, weights = asked.inception
    network = KerasGraph(model, weights, [LAYER])
    photos = photo_features(network, asked.data, asked.photos)
    rows = []
    for psi in (0.7, 1.0):
        drawn = pooled(network, sample(generator, asked.samples, psi, seed=3).split(16))
        told = precision_and_recall(drawn, photos)
        distance = frechet_distance(drawn, photos)
        rows.append((f"{psi:g}", f"{distance:.1f}", *(f"{share:.2f}" for share in told)))
    header: Sequence[str] = (
        "psi",
        f"Frechet distance, {asked.samples} samples",
        "precision",
        "recall",
    )
    print(markdown_table(header, rows))
    if asked.held_out is not None and encoder is not None:
        people = spread(read_pack(asked.held_out, generator.resolution).images, asked.people)
        psnr = rebuilt_psnr(generator, encoder, people)
        header = ("skin", "photos", "PSNR in W", "PSNR in W+")[: 2 + psnr.shape[1]]
        print(f"\n{markdown_table(header, by_tone(psnr, skin_tones(people)))}")


if __name__ == "__main__":
    main()
