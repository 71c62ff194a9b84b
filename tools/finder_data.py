"""What the face finder learns from: portraits with their points, and backgrounds without faces."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from inversion.faces.finder_geometry import GREY, Complex, Reductions, fit_template
from inversion.faces.shape68 import MIRRORED68

Rng = np.random.Generator
Rectangle = tuple[float, float, float, float]

MIRRORED73 = np.array([1, 0, 2, 4, 3, *(k + 5 for k in MIRRORED68)])
STORED_EYES = 44.0
"""Portraits are kept in memory at this eye distance in pixels: no sample needs more."""


def fit(points: Complex) -> tuple[complex, complex]:
    """Fit TEMPLATE to the first five of one face's points: a, b of a z + b."""
    a, b = fit_template(points[:5])
    return complex(a), complex(b)


@dataclass(frozen=True)
class Portrait:
    """One photo of one face: points [73] (five, then 68) as x + iy, whose person it is."""

    name: str
    person: str
    size: tuple[int, int]
    picture: Reductions
    points: Complex

    @property
    def head(self) -> Rectangle:
        """The box of head and hair, roughly: x0, y0, x1, y1."""
        a, b = fit(self.points)
        middle, r = a * 0.35j + b, 2.1 * abs(a)
        return middle.real - r, middle.imag - r, middle.real + r, middle.imag + r


def load_portraits(folder: Path) -> list[Portrait]:
    """Read photos/, landmarks.npz and index.tsv of a folder of faces."""
    with open(folder / "index.tsv", newline="", encoding="utf-8") as file:
        people = {row["id"]: row["person"] for row in csv.DictReader(file, delimiter="\t")}
    table = np.load(folder / "landmarks.npz")
    portraits = []
    for name, five, all68 in zip(table["id"], table["photo5"], table["photo68"], strict=True):
        xy = np.concatenate([five, all68]).astype(float)
        points = xy[:, 0] + 1j * xy[:, 1]
        with Image.open(folder / "photos" / f"{name}.jpg") as image:
            picture = image.convert("RGB")
        scale = min(1.0, STORED_EYES / abs(fit(points)[0]))
        size = round(picture.width * scale), round(picture.height * scale)
        x = (points.real + 0.5) * size[0] / picture.width - 0.5
        y = (points.imag + 0.5) * size[1] / picture.height - 0.5
        stored = Reductions(picture.resize(size, Image.Resampling.BOX))
        portraits.append(Portrait(str(name), people[str(name)], size, stored, x + 1j * y))
    return portraits


def chosen_people(people: Iterable[str], n: int) -> frozenset[str]:
    """Choose n people by the hashes of their codes: the same ones every time."""
    return frozenset(sorted(set(people), key=lambda p: hashlib.sha256(p.encode()).digest())[:n])


def split_by_person(
    portraits: Sequence[Portrait], held_out: int
) -> tuple[list[Portrait], list[Portrait]]:
    """Keep `held_out` people, chosen by the hash of their code, out of training."""
    out = chosen_people({p.person for p in portraits}, held_out)
    return (
        [p for p in portraits if p.person not in out],
        [p for p in portraits if p.person in out],
    )


# --------------------------------------------------------------------------- backgrounds


def _noise(rng: Rng, size: int) -> Image.Image:
    """Sum noise of several grain sizes, in colour or grey."""
    field = np.zeros((size, size, 3), np.float32)
    for grain in rng.choice([2, 4, 8, 16, 32, 64], size=3, replace=False):
        cells = max(2, size // int(grain))
        small = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        large = Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)
        field += np.asarray(large, np.float32) * rng.uniform(0.1, 1)
    if rng.random() < 0.5:
        field = np.repeat(field.mean(-1, keepdims=True), 3, -1)
    field = (field - field.mean()) / (field.std() + 1e-3)
    return Image.fromarray(
        np.clip(rng.uniform(60, 200) + rng.uniform(10, 60) * field, 0, 255).astype(np.uint8)
    )


def _shapes(rng: Rng, size: int) -> Image.Image:
    """Draw overlapping ellipses, boxes and lines, pairs of dots among them."""
    image = Image.new("RGB", (size, size), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 60))):
        colour = tuple(rng.integers(0, 256, 3).tolist())
        x, y = rng.uniform(-10, size, 2)
        w, h = np.exp(rng.uniform(np.log(3), np.log(size / 2), 2))
        kind = rng.random()
        if kind < 0.4:
            draw.ellipse([x, y, x + w, y + h], fill=colour)
        elif kind < 0.65:
            draw.rectangle([x, y, x + w, y + h], fill=colour)
        elif kind < 0.8:
            draw.line(
                [x, y, x + w, y + rng.uniform(-h, h)], fill=colour, width=int(rng.integers(1, 6))
            )
        else:
            for step in range(int(rng.integers(2, 8))):
                draw.ellipse([x + step * w, y, x + step * w + h / 4, y + h / 4], fill=colour)
    return image


def _stripes(rng: Rng, size: int) -> Image.Image:
    """Draw a grating, checks or rows of strokes that look like writing."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    turn, wave = rng.uniform(0, np.pi), rng.uniform(0.1, 1.5)
    field = np.sin((x * np.cos(turn) + y * np.sin(turn)) * wave)
    if rng.random() < 0.5:
        field = field * np.sin((y * np.cos(turn) - x * np.sin(turn)) * wave * rng.uniform(0.3, 3))
    if rng.random() < 0.3:
        strokes = rng.random((size // 3, size // 2)) < 0.5
        strokes[:: int(rng.integers(2, 4))] = False
        small = Image.fromarray(strokes.astype(np.uint8) * 255)
        field = np.asarray(small.resize((size, size)), np.float32) / 128 - 1
    one, two = rng.uniform(0, 255, (2, 3))
    return Image.fromarray(
        np.clip(one + (two - one) * (field[..., None] + 1) / 2, 0, 255).astype(np.uint8)
    )


def _emblem(rng: Rng, size: int) -> Image.Image:
    """Draw badges on cloth: ringed discs and shields with strokes and dots in them."""
    image = _noise(rng, size)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 4))):
        r = rng.uniform(0.1, 0.35) * size
        x, y = rng.uniform(r, size - r, 2)
        shade = rng.integers(0, 256, (4, 3)).tolist()
        lower = r * rng.uniform(0.9, 1.4)
        box = [x - r, y - r, x + r, y + lower]
        width = max(1, round(r * rng.uniform(0.05, 0.2)))
        colours = [tuple(each) for each in shade]
        if rng.random() < 0.7:
            draw.ellipse(box, fill=colours[0], outline=colours[1], width=width)
        else:
            draw.polygon(
                [(x - r, y - r), (x + r, y - r), (x + r, y), (x, y + lower), (x - r, y)],
                fill=colours[0],
                outline=colours[1],
                width=width,
            )
        for _ in range(int(rng.integers(2, 9))):
            u, v = x + rng.uniform(-0.55, 0.55) * r, y + rng.uniform(-0.55, 0.55) * r
            w, h = rng.uniform(0.05, 0.5, 2) * r
            how, colour = rng.random(), colours[int(rng.integers(1, 4))]
            if how < 0.4:
                draw.ellipse([u - w / 2, v - h / 2, u + w / 2, v + h / 2], fill=colour)
            elif how < 0.7:
                begin, end = rng.uniform(0, 180), rng.uniform(180, 360)
                draw.arc([u - w, v - h, u + w, v + h], begin, end, colour, 2)
            else:
                draw.line([u - w, v - h, u + w, v + h], colour, max(1, width // 2))
    return image


def _around(portrait: Portrait, rng: Rng) -> Image.Image | None:
    """Cut the largest part of a photo that lies beside, above or below its head."""
    (w, h), (x0, y0, x1, y1) = portrait.size, portrait.head
    parts = [(0, 0, x0, h), (x1, 0, w, h), (0, 0, w, y0), (0, y1, w, h)]
    parts = [p for p in parts if min(p[2] - p[0], p[3] - p[1]) >= 24]
    if not parts:
        return None
    area = [(p[2] - p[0]) * (p[3] - p[1]) for p in parts]
    left, top, right, bottom = (
        int(v) for v in parts[int(rng.choice(len(parts), p=np.array(area) / sum(area)))]
    )
    square = portrait.picture.crop(1, left + 1j * top, max(right - left, bottom - top))
    return square.crop((0, 0, right - left, bottom - top))


class Backgrounds:
    """Faceless pictures: what surrounds the portraits' heads, and drawn textures."""

    def __init__(self, portraits: Sequence[Portrait], rng: Rng, drawn: int = 600) -> None:
        cut = [_around(p, rng) for p in portraits]
        self._cut = [Reductions(image) for image in cut if image is not None]
        self._sizes = [image.size for image in cut if image is not None]
        makers = (_noise, _shapes, _stripes, _emblem)
        self._drawn = [Reductions(makers[i % len(makers)](rng, 192)) for i in range(drawn)]

    def draw(self, rng: Rng, size: int) -> Image.Image:
        """Return size x size pixels that hold no face: one background or several side by side."""
        if rng.random() > 0.35:
            return self._one(rng, size)
        image = Image.new("RGB", (size, size), GREY)
        for _ in range(int(rng.integers(2, 6))):
            x, y = rng.integers(0, size, 2).tolist()
            corner = (0, 0) if rng.random() < 0.3 else (x, y)
            image.paste(self._one(rng, size), corner)
        return image

    def _one(self, rng: Rng, size: int) -> Image.Image:
        if rng.random() < 0.15:
            colour = GREY if rng.random() < 0.4 else tuple(rng.integers(0, 256, 3).tolist())
            return Image.new("RGB", (size, size), colour)
        turn = np.exp(1j * rng.uniform(-0.5, 0.5)) * rng.choice([1, 1, 1, 1j, -1])
        if rng.random() < 0.25 or not self._cut:
            middle, reach, source = (
                96 + 96j,
                110.0,
                self._drawn[int(rng.integers(len(self._drawn)))],
            )
        else:
            i = int(rng.integers(len(self._cut)))
            (w, h), source = self._sizes[i], self._cut[i]
            middle, reach = (w + 1j * h) / 2, (w + h) / 2
        a = turn * reach * np.exp(rng.uniform(-0.7, 0.3)) / size
        image = source.crop(a, middle - a * size / 2 * (1 + 1j), size)
        if rng.random() < 0.2:  # halves mirrored: more kinds of corners and pairs
            half = image.crop((0, 0, size // 2, size))
            image.paste(half.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (size - size // 2, 0))
        return image
