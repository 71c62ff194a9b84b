"""Canvases for the face finder: portraits placed on other backgrounds and disturbed.

A canvas is a background with portraits in separate cells, each moved, turned and scaled by one
similarity a z + b (z = x + iy in the portrait), so that its points are known exactly.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from inversion.faces.finder_geometry import TEMPLATE, Complex
from stylegan2.arrays import UInt8Image
from tools.finder_data import MIRRORED73, Backgrounds, Portrait, Rectangle, Rng, fit


@dataclass(frozen=True)
class Placed:
    """A face on a canvas: points [73], and how many of the five can be seen."""

    points: Complex
    seen: int


def _retone(image: Image.Image, rng: Rng, strength: float) -> Image.Image:
    """Change exposure, contrast, gamma and the colour of the light."""
    x = np.arange(256) / 255
    x = x ** np.exp(rng.normal(0, 0.35 * strength))
    contrast, shift = np.exp(rng.normal(0, 0.2 * strength)), rng.normal(0, 0.08 * strength)
    gains = np.exp(rng.normal(0, 0.25 * strength) + rng.normal(0, 0.1 * strength, 3))
    table = 255 * ((x[:, None] * gains - 0.5) * contrast + 0.5 + shift)
    table = np.clip(table, 0, 255).astype(np.uint8)
    pixels = np.asarray(image)
    return Image.fromarray(np.stack([table[:, c][pixels[..., c]] for c in range(3)], axis=-1))


def _polygon(points: Complex) -> list[tuple[float, float]]:
    return [(p.real, p.imag) for p in points.tolist()]


def _occlude(image: Image.Image, face: Complex, cover: Image.Image, rng: Rng) -> None:
    """Cover the hair and forehead, one side, the mouth or any spot of a face with `cover`."""
    a, b = fit(face)
    kind = rng.random()
    if kind < 0.35:  # hat or fringe: everything above a line over the brows
        y = rng.uniform(-0.75, -0.35)
        shape = np.array(
            [-1.4 + 1j * y, 1.4 + 1j * (y + rng.normal(0, 0.1)), 1.3 - 2.2j, -1.3 - 2.2j]
        )
    elif kind < 0.55:  # hand, scarf or mask from below
        y = rng.uniform(0.75, 1.3)
        shape = np.array(
            [-1.5 + 1j * y, 1.5 + 1j * (y + rng.normal(0, 0.3)), 1.5 + 2.6j, -1.5 + 2.6j]
        )
    elif kind < 0.75:  # hair or another head from one side
        x = rng.choice([-1, 1]) * rng.uniform(0.35, 0.9)
        shape = np.array(
            [x - 2j, x + rng.normal(0, 0.2) + 2.5j, 2.5 * np.sign(x) + 2.5j, 2.5 * np.sign(x) - 2j]
        )
    else:
        spot = rng.choice(TEMPLATE) + rng.normal(0, 0.3) + 1j * rng.normal(0, 0.3)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 8))
        shape = spot + rng.uniform(0.15, 0.45) * np.exp(1j * angles) * rng.uniform(0.5, 1.3, 8)
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).polygon(_polygon(a * shape + b), fill=255)
    image.paste(cover, (0, 0), mask)


def _glasses(image: Image.Image, face: Complex, rng: Rng) -> None:
    """Draw a frame around both eyes, now and then with dark lenses."""
    a, _ = fit(face)
    colour = tuple(
        (rng.integers(0, 90, 3) if rng.random() < 0.8 else rng.integers(90, 256, 3)).tolist()
    )
    lens = tuple(rng.integers(0, 60, 3).tolist()) if rng.random() < 0.35 else None
    width = max(1, round(abs(a) * rng.uniform(0.03, 0.1)))
    draw = ImageDraw.Draw(image)
    w, h, power = rng.uniform(0.27, 0.42), rng.uniform(0.2, 0.36), rng.uniform(0.4, 1)
    angle = np.linspace(0, 2 * np.pi, 20)
    x, y = np.cos(angle), np.sin(angle)
    ring = w * np.sign(x) * np.abs(x) ** power + 1j * h * np.sign(y) * np.abs(y) ** power
    for eye in face[:2]:
        outline = _polygon(a * (ring + 0.04j) + eye)
        draw.polygon(outline, fill=lens)
        draw.line(outline, fill=colour, width=width)
    bridge = _polygon(np.array([a * w + face[0], -a * w + face[1]]))
    draw.line(bridge, fill=colour, width=width)


def disturb(image: Image.Image, rng: Rng, soften: float) -> UInt8Image:
    """Change the light and lose detail; `soften` is the largest factor of lost resolution."""
    if rng.random() < 0.4:
        grey = image.convert("L").convert("RGB")
        image = Image.blend(image, grey, 1.0 if rng.random() < 0.5 else rng.uniform(-0.5, 0.9))
    if rng.random() < 0.6:
        image = _retone(image, rng, 0.8)
    size = image.width
    kind = rng.random()
    if kind < 0.3 and soften > 1:
        small = max(8, round(size / np.exp(rng.uniform(0, np.log(soften)))))
        how = rng.choice(
            [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX]
        )
        image = image.resize((small, small), int(how)).resize(
            (size, size), Image.Resampling.BILINEAR
        )
    elif kind < 0.45:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7 * soften)))
    elif kind < 0.55:
        image = image.filter(
            ImageFilter.UnsharpMask(rng.uniform(0.5, 2), int(rng.integers(50, 200)), 0)
        )
    if rng.random() < 0.2:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(15, 85)))
        image = Image.open(buffer)
    pixels = np.asarray(image)
    light, noise = rng.random() < 0.35, rng.random() < 0.35
    if light or noise:
        field = pixels.astype(np.float32)
        if light:  # falls off across the picture, sharply for a shadow's edge
            y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
            turn = rng.uniform(0, 2 * np.pi)
            ramp = np.tanh(
                (x * np.cos(turn) + y * np.sin(turn) + rng.normal(0, 0.15)) * rng.uniform(1, 12)
            )
            field *= (1 + rng.uniform(0.1, 0.75) * (ramp - 1) / 2)[..., None] * rng.uniform(
                0.9, 1.4
            )
        if noise:
            grain = rng.standard_normal(
                (size, size, 1 if rng.random() < 0.5 else 3), dtype=np.float32
            )
            field += rng.uniform(2, 18) * grain
        pixels = np.clip(field, 0, 255).astype(np.uint8)
    return pixels


def _scramble(image: Image.Image, face: Complex, rng: Rng) -> None:
    """Break a face's order: swap its quarters' places about its middle."""
    a, b = fit(face)
    middle, r = a * 0.5j + b, abs(a) * 1.1
    x, y, n = int(middle.real), int(middle.imag), max(2, int(r))
    boxes = [(x - n, y - n), (x, y - n), (x - n, y), (x, y)]
    parts = [image.crop((u, v, u + n, v + n)) for u, v in boxes]
    order = rng.choice([[3, 2, 1, 0], [2, 3, 0, 1], [1, 3, 0, 2]], axis=0)
    for part, k in zip(parts, order.tolist(), strict=True):
        image.paste(part, boxes[k])


@dataclass(frozen=True)
class Placement:
    """Where a portrait goes: canvas = a z + b inside `cell`; whether to break the face."""

    portrait: Portrait
    a: complex
    b: complex
    cell: Rectangle
    broken: bool = False


def compose(
    placements: Sequence[Placement], backgrounds: Backgrounds, size: int, rng: Rng, soften: float
) -> tuple[UInt8Image, list[Placed]]:
    """Draw one canvas uint8 [size, size, 3] and say where its faces are.

    Broken faces and those turned by more than a right angle do not count as faces.
    """
    canvas = backgrounds.draw(rng, size)
    faces = []
    for p in placements:
        layer = p.portrait.picture.crop(1 / p.a, -p.b / p.a, size)
        if rng.random() < 0.5:
            layer = _retone(layer, rng, 0.7)
        points = p.a * p.portrait.points + p.b
        w, h = p.portrait.size
        mask = Image.new("L", (size, size), 0)
        shape = p.a * (np.array([0, w - 1, w - 1 + 1j * (h - 1), 1j * (h - 1)])) + p.b
        if rng.random() < 0.2:  # the head alone, cut out
            a, b = fit(points)
            brow = a * np.array([1.25 - 0.3j, 0.9 - 1.2j, -0.9 - 1.2j, -1.25 - 0.3j]) + b
            middle = points[:5].mean()
            shape = middle + (np.concatenate([points[5:22], brow]) - middle) * rng.uniform(
                1.0, 1.25
            )
        ImageDraw.Draw(mask).polygon(_polygon(shape), fill=255)
        x0, y0, x1, y1 = (round(v) for v in p.cell)
        canvas.paste(layer.crop((x0, y0, x1, y1)), (x0, y0), mask.crop((x0, y0, x1, y1)))
        if p.broken:
            _scramble(canvas, points, rng)
        if p.broken or abs(np.angle(fit(points)[0])) > 1.6:
            continue
        if rng.random() < 0.25:
            _occlude(canvas, points, backgrounds.draw(rng, size), rng)
        if rng.random() < 0.12:
            _glasses(canvas, points, rng)
        five = points[:5]
        inside = (five.real > x0) & (five.real < x1 - 1) & (five.imag > y0) & (five.imag < y1 - 1)
        faces.append(Placed(points, int(inside.sum())))
    pixels = disturb(canvas, rng, soften)
    if rng.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        faces = [Placed((size - 1 - f.points.conj())[MIRRORED73], f.seen) for f in faces]
    return pixels, faces
