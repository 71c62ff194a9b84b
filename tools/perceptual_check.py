"""Measure how well perceptual distances rank changes of portraits, on people not trained on.

    python -m tools.perceptual_check FACES [--weights runs/perceptual.safetensors]

Nobody was asked: the right order of two changes is taken from what is published about what people
see, and a distance is right when it gives the change that people mind less the smaller number.

- At an equal squared error, a change of light, contrast or colour, and a small shift, turn or
  scaling, look like the original; white noise does not; blur and JPEG look worst (Wang and Bovik,
  "Mean Squared Error: Love It or Leave It?", 2009, figure 2, Einstein; the same order of light,
  contrast and noise before blur and JPEG in Wang et al., "Image Quality Assessment: From Error
  Visibility to Structural Similarity", 2004, figure 2).
- A small bend of the picture before blur (Zhang et al., arXiv 1801.03924, figure 1: people and
  LPIPS against L2, PSNR and SSIM).
- A face without an eye or mouth after a change of light or a bend of equal error, and a slightly
  changed portrait before another photo of the person, before other people (no source: taken for
  granted). A mirrored face before other people's (taken for granted).
- More of a change after less of it, for every kind.

JPEG is Pillow's here, while training quantised by itself; `quantised` and `impulses` are kinds that
training never saw. Pictures: FACES/dev, aligned by the package, and pairs of photos of people held
out from training.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.section import markdown_table
from inversion.encoder_networks import Encoder
from inversion.encoder_weights import encoder_for
from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.landmarks import find_faces
from inversion.faces.no_face import NoFaceFound
from inversion.perceptual import OfflineDistance, PerceptualDistance
from inversion.perceptual_network import load_network
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.embedded import embedded_path
from tools.distortions import (
    COLOURS,
    EVERY,
    HOLES,
    LOSSES,
    NOISES,
    PATTERNS,
    PLACES,
    Distortion,
    at_mse,
    mse,
)
from tools.pyramid import PyramidDistance
from tools.train_perceptual import SIZE, read_portraits

DECIBELS = (20.0, 23.0, 26.0)
"""PSNR at which changes of equal squared error are compared."""
SLIGHT = 0.1
"""Strength of a slight change."""
PEOPLE = 60
"""How many of the people held out are shown."""
STRENGTHS = (0.06, 0.12, 0.25, 0.5, 1.0)
"""Strengths that must come out in this order."""


class L2Distance(PerceptualDistance):
    """The mean squared difference."""

    name = "l2"

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the pictures themselves."""
        return [images]


class EncoderDistance(PerceptualDistance):
    """Features of the embedded encoder, of unit length at every position, all of equal weight."""

    name = "encoder"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def features(self, images: Tensor) -> list[Tensor]:
        """Return what each convolution makes of the pictures at 64 pixels."""
        x = F.interpolate(images, size=(64, 64), mode="area")
        found = []
        for conv in self.encoder.convs:
            x = conv(x)
            found.append(F.normalize(x, dim=1))
        return found


# --------------------------------------------------------------------------- changes


def jpeg(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Save with Pillow at quality 60 (strength 0.02) down to 2, and read again."""
    pictures = []
    for picture, how in zip(x, strength.tolist(), strict=True):
        quality = round(min(95.0, max(1.0, 60 * (1 - how) ** 3)))
        pixels = (picture * 127.5 + 127.5).round().clamp(0, 255).byte().permute(1, 2, 0)
        buffer = io.BytesIO()
        Image.fromarray(pixels.numpy()).save(buffer, "JPEG", quality=quality)
        back = np.array(Image.open(buffer))
        pictures.append(torch.from_numpy(back).permute(2, 0, 1).float() / 127.5 - 1)
    return torch.stack(pictures)


def quantised(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Round colours to few levels, with false edges where they ran smoothly."""
    step = (0.8 * strength)[:, None, None, None].clamp_min(1e-3)
    return (x / step).round() * step


def impulses(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Make pixels black or white, up to a tenth of them."""
    draw = torch.rand(x.shape[0], 1, *x.shape[2:], generator=rng)
    share = (0.1 * strength)[:, None, None, None]
    return torch.where(draw < share / 2, -1.0, torch.where(draw > 1 - share / 2, 1.0, x))


UNSEEN: dict[str, Distortion] = {"jpeg": jpeg, "quantised": quantised, "impulses": impulses}
ORDERED = EVERY | UNSEEN


# --------------------------------------------------------------------------- orders


Pair = tuple[Tensor, Tensor]
"""A picture [1, 3, S, S] and a changed one."""


@dataclass(frozen=True)
class Order:
    """People mind the change of pair `less` less than that of `more`; both are indices."""

    group: str
    less: int
    more: int


Groups = dict[str, tuple[dict[str, Distortion], dict[str, Distortion]]]
EQUAL_ERROR: Groups = {
    "light, colour < noise": (COLOURS, NOISES),
    "light, colour < blur, JPEG": (
        COLOURS,
        {"blur": LOSSES["blur"], "pixelation": LOSSES["pixelation"], "jpeg": jpeg},
    ),
    "shift, turn, scale, bend < noise": (PLACES, NOISES | PATTERNS),
    "shift, turn, scale, bend < blur, JPEG": (
        PLACES,
        {"blur": LOSSES["blur"], "pixelation": LOSSES["pixelation"], "jpeg": jpeg},
    ),
    "light, colour, place < impulses, JPEG (not trained on)": (
        COLOURS | PLACES,
        {"impulses": impulses, "jpeg": jpeg},
    ),
    "noise < blur, JPEG": (NOISES, {"blur": LOSSES["blur"], "jpeg": jpeg}),
}
"""Kinds of changes that people mind less and more at an equal squared error."""
MISSING: Groups = {"light, bend < missing feature": (COLOURS | {"warp": PLACES["warp"]}, HOLES)}
MOST = {"missing": 1.02, "jpeg": 1.0}
"""Strengths that make no sense beyond."""
ALIKE = 1.25
"""Squared errors within this factor count as equal; some kinds come in steps."""


def equal_error_orders(x: Tensor, decibels: float, seed: int, pairs: list[Pair]) -> list[Order]:
    """Compare kinds of changes of pictures x [N, 3, S, S] at an equal squared error.

    Adds what is compared to `pairs`. A kind that cannot be brought to that error is left out.
    """
    wanted = torch.full((len(x),), 4 * 10 ** (-decibels / 10))
    return _orders_at(x, wanted, EQUAL_ERROR, seed, pairs)


def missing_orders(x: Tensor, seed: int, pairs: list[Pair]) -> list[Order]:
    """Compare a missing eye, nose or mouth with light and shifts of the same squared error."""
    full = HOLES["missing"](x, torch.ones(len(x)), torch.Generator().manual_seed(seed))
    return _orders_at(x, mse(full, x), MISSING, seed, pairs)


def _orders_at(
    x: Tensor, wanted: Tensor, groups: Groups, seed: int, pairs: list[Pair]
) -> list[Order]:
    kinds: dict[str, Distortion] = {}
    for calm, harsh in groups.values():
        kinds |= calm | harsh
    first, errors = {}, {}
    for k, (name, distort) in enumerate(kinds.items()):
        most = MOST.get(name, 1.4 if name in PLACES else 4.0)
        made, errors[name] = at_mse(distort, x, wanted, seed + k, most)
        first[name] = len(pairs)
        pairs += zip(x.split(1), made.split(1), strict=True)
    orders = []
    for group, (calm, harsh) in groups.items():
        for less in calm:
            for more in harsh:
                ratio = (errors[less] / errors[more]).log().abs().exp()
                orders += [
                    Order(group, first[less] + i, first[more] + i)
                    for i in (ratio < ALIKE).nonzero()[:, 0].tolist()
                ]
    return orders


def face_orders(people: Sequence[Tensor], seed: int, pairs: list[Pair]) -> list[Order]:
    """Compare slight changes, other photos of the same person, mirrored and other people's faces.

    people: each [n, 3, S, S]; those with one picture only count as others. Adds to `pairs`.
    """
    orders = []
    rng = torch.Generator().manual_seed(seed)
    slight = torch.full((1,), SLIGHT)

    def pair(x: Tensor, y: Tensor) -> int:
        pairs.append((x, y))
        return len(pairs) - 1

    for i, pictures in enumerate(people):
        x = pictures[:1]
        draws = torch.randint(1, len(people), (4,), generator=rng).tolist()
        others = [pair(x, people[i + k - len(people)][:1]) for k in draws]
        changed = [pair(x, d(x, slight, rng)) for name, d in EVERY.items() if name not in HOLES]
        mirrored = pair(x, x.flip(3))
        orders += [Order("mirrored < another face", mirrored, k) for k in others]
        orders += [Order("slightly changed < another face", c, others[0]) for c in changed]
        if len(pictures) > 1:
            same = pair(x, pictures[1:2])
            orders += [Order("slightly changed < same person", c, same) for c in changed]
            orders += [Order("same person < another face", same, k) for k in others]
    return orders


@torch.no_grad()
def share_right(
    distance: PerceptualDistance, pairs: Sequence[Pair], orders: Sequence[Order]
) -> dict[str, float]:
    """Return the share of orders that a distance has right, for each group."""
    values = []
    for i in range(0, len(pairs), 16):
        one, other = (torch.cat(side) for side in zip(*pairs[i : i + 16], strict=True))
        values += distance(one, other).tolist()
    right: dict[str, list[bool]] = {}
    for order in orders:
        right.setdefault(order.group, []).append(values[order.less] < values[order.more])
    return {group: sum(each) / len(each) for group, each in right.items()}


@torch.no_grad()
def share_monotone(distance: PerceptualDistance, x: Tensor, seed: int) -> dict[str, float]:
    """Return for each kind the share of neighbouring strengths that come out in their order."""
    wanted = distance.features(x)
    shares = {}
    for name, distort in ORDERED.items():
        values = []
        for strength in STRENGTHS:
            rng = torch.Generator().manual_seed(seed)
            y = distort(x, torch.full((len(x),), strength), rng)
            values.append(distance.between(distance.features(y), wanted))
        rises = torch.stack(values).diff(dim=0)
        changed = rises != 0
        shares[name] = float((rises > 0).sum() / changed.sum().clamp_min(1))
    return shares


@torch.no_grad()
def typical(distance: PerceptualDistance, x: Tensor) -> dict[str, float]:
    """Return the median distance of some changes, and of pairs of different people."""
    wanted = distance.features(x)
    values = {}
    for name in ("brightness", "tint", "shift", "noise", "blur", "jpeg", "missing"):
        for strength in (0.25, 1.0):
            rng = torch.Generator().manual_seed(0)
            y = ORDERED[name](x, torch.full((len(x),), strength), rng)
            gaps = distance.between(distance.features(y), wanted)
            values[f"{name} {strength:g}"] = float(gaps.median())
    others = distance.between([f.roll(1, 0) for f in wanted], wanted)
    values["another face"] = float(others.median())
    return values


# --------------------------------------------------------------------------- pictures


def read_dev(folder: Path) -> Tensor:
    """Align the development photos with the package's own finder: [N, 3, SIZE, SIZE]."""
    pictures = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
        try:
            face = find_faces(pixels, "offline", "cpu").faces[0]
        except NoFaceFound:
            continue
        pictures.append(torch.from_numpy(align(pixels, ffhq_quad(face), SIZE).image.copy()))
    return torch.stack(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def table(rows: dict[str, dict[str, float]], form: Callable[[float], str]) -> str:
    """Write figures as a Markdown table: a row a distance's group, a column a distance."""
    names = list(rows)
    lines = [(group, *(form(rows[name][group]) for name in names)) for group in rows[names[0]]]
    return markdown_table(("", *names), lines)


def percent(share: float) -> str:
    """Write a share in per cent."""
    return f"{100 * share:.1f} %"


def main() -> None:
    """Print the tables of L2, the pyramid, the encoder's features and the learned distance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path)
    parser.add_argument("--weights", type=Path, help="default: the embedded ones")
    parser.add_argument("--held-out", type=int, default=200, help="as in training")
    args = parser.parse_args()
    encoder = encoder_for(weights_hash(load_generator(embedded_path())))
    assert encoder is not None
    distances = [
        L2Distance(),
        PyramidDistance(),
        EncoderDistance(encoder.w),
        OfflineDistance(load_network(args.weights)),
    ]
    dev = read_dev(args.faces / "dev")
    held_out = read_portraits(args.faces, args.held_out, keep=True).values()
    people = [pictures.float() / 127.5 - 1 for pictures in held_out][:PEOPLE]
    pairs: list[Pair] = []
    orders = face_orders(people, 1, pairs)
    for k, decibels in enumerate(DECIBELS):
        orders += equal_error_orders(dev, decibels, 100 * k, pairs)
    orders += missing_orders(dev, 500, pairs)
    print(f"{len(dev)} photos, {len(people)} people held out, {len(orders)} orders\n", flush=True)
    shares, monotone, values = {}, {}, {}
    for distance in distances:
        shares[distance.name] = share_right(distance, pairs, orders)
        shares[distance.name]["mean"] = float(np.mean(list(shares[distance.name].values())))
        monotone[distance.name] = share_monotone(distance, dev, seed=3)
        values[distance.name] = typical(distance, dev)
    print(table(shares, percent))
    print()
    print(table(monotone, percent))
    print()
    print(table(values, "{:.4f}".format))


if __name__ == "__main__":
    main()
