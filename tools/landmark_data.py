"""What the 68-point network learns from: aligned faces, warped so that the points follow."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from inversion.faces.landmark_network import INPUT
from inversion.faces.shape68 import (
    BROW_LEFT,
    BROW_RIGHT,
    INNER_MOUTH,
    JAW,
    LOWER_LIDS,
    MIRRORED68,
    OUTER_MOUTH,
    UPPER_LIDS,
    eye_openings,
    face_width,
    mouth_opening,
)
from stylegan2.arrays import Float32Array, Float64Array, UInt8Image
from tools.finder_canvas import disturb
from tools.finder_data import Rng, chosen_people

STORED = 256
"""Side of the pictures in memory, in pixels; points count in these."""
GRID = 48
"""Cells a side in which a warp is computed."""
_MOUTH = list(OUTER_MOUTH + INNER_MOUTH)
_CHIN = list(JAW[3:14])
_CHIN_SHARE = np.sin(np.linspace(0, np.pi, len(_CHIN)))[:, None]
"""How much of the lower lip's way down each point of the jaw goes."""


@dataclass(frozen=True)
class AlignedFaces:
    """Faces in memory: images uint8 [N, 256, 256, 3], points [N, 68, 2], yaw [N] in degrees."""

    images: UInt8Image
    points: Float64Array
    yaw: Float64Array
    people: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def chosen(self, which: npt.NDArray[np.bool_]) -> AlignedFaces:
        """Keep those where `which` is true."""
        people = tuple(p for p, keep in zip(self.people, which, strict=True) if keep)
        return AlignedFaces(self.images[which], self.points[which], self.yaw[which], people)


def load_aligned(folder: Path) -> AlignedFaces:
    """Read aligned/, landmarks.npz and index.tsv of a folder of faces (tools/README.md)."""
    with open(folder / "index.tsv", newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    table = np.load(folder / "landmarks.npz")
    images, points = [], []
    for name, own in zip(table["id"], table["aligned68"], strict=True):
        with Image.open(folder / "aligned" / f"{name}.jpg") as image:
            scale = STORED / image.width
            resized = image.convert("RGB").resize((STORED, STORED), Image.Resampling.LANCZOS)
        images.append(np.asarray(resized))
        points.append((own.astype(float) + 0.5) * scale - 0.5)
    own = [rows[str(name)] for name in table["id"]]
    yaw = np.array([float(row["yaw"]) for row in own])
    people = tuple(row["person"] for row in own)
    return AlignedFaces(np.stack(images), np.stack(points), yaw, people)


def split(faces: AlignedFaces, held_out: int) -> tuple[AlignedFaces, AlignedFaces]:
    """Keep `held_out` people, chosen by the hash of their code, out of training."""
    out = chosen_people(faces.people, held_out)
    held = np.array([person in out for person in faces.people])
    return faces.chosen(~held), faces.chosen(held)


def how_often(faces: AlignedFaces) -> Float64Array:
    """Give each face's chance to be shown: rare mouths, eyes and turns more often; sums to 1."""
    often = np.ones(len(faces))
    for i, points in enumerate(faces.points):
        often[i] += 3.0 * (mouth_opening(points) > 0.22) + 2.0 * (min(eye_openings(points)) < 0.17)
    often += 1.5 * (np.abs(faces.yaw) > 15)
    chances: Float64Array = often / often.sum()
    return chances


# --------------------------------------------------------------------------- shapes


def other_mouth(own: Float64Array, other: Float64Array, strength: float) -> Float64Array:
    """Give a face another's mouth, in its own place and of its own width partly; the chin follows.

    strength 1 takes the other's shape as it is, more exaggerates it.
    """
    shape: Float64Array = own.copy()
    mine, theirs = own[_MOUTH], other[_MOUTH]
    frame_mine, frame_theirs = own[[33, 8]].mean(axis=0), other[[33, 8]].mean(axis=0)
    shape[_MOUTH] += strength * ((theirs - frame_theirs) - (mine - frame_mine))
    drop = shape[57] - own[57]
    shape[_CHIN] += _CHIN_SHARE * np.maximum(drop * (0.3, 0.75), (-20, -12))
    return shape


def other_lids(own: Float64Array, openings: tuple[float, float]) -> Float64Array:
    """Scale the gap between the lids of both eyes: 0 shuts, 1 leaves; the brows follow a little."""
    shape: Float64Array = own.copy()
    for k, (up, low) in enumerate(zip(UPPER_LIDS, LOWER_LIDS, strict=True)):
        gap = own[low] - own[up]
        part = openings[k // 2]
        shape[up] = own[low] - part * gap
        # A lower lid moves a fifth of the upper one's way.
        shape[[up, low]] += 0.2 * (part - 1) * gap
    for brow, eye, part in ((BROW_LEFT, 0, openings[0]), (BROW_RIGHT, 2, openings[1])):
        gap = own[LOWER_LIDS[eye]] - own[UPPER_LIDS[eye]]
        shape[list(brow)] -= 0.3 * (part - 1) * gap
    return shape


def dragged(own: Float64Array, rng: Rng) -> Float64Array:
    """Drag one to three of the points, the rest following as Wendland's C2 kernel falls off."""
    shape: Float64Array = own.copy()
    width = face_width(own)
    for handle in rng.integers(0, 68, int(rng.integers(1, 4))):
        reach = width * rng.uniform(0.15, 0.6)
        far = np.hypot(*(own - own[handle]).T) / reach
        near = np.clip(1 - far, 0, 1) ** 4 * (4 * far + 1)
        # The kernel folds the picture from a way of half its reach on.
        turn, way = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4) * reach
        shape += near[:, None] * way * np.array([np.cos(turn), np.sin(turn)])
    return shape


def drawn_shape(faces: AlignedFaces, i: int, wide: npt.NDArray[np.intp], rng: Rng) -> Float64Array:
    """Draw where the points of face i go; `wide` index open mouths to borrow from."""
    some = rng.integers(len(faces), size=8)
    like = faces.points[some[np.abs(faces.yaw[some] - faces.yaw[i]).argmin()]]
    shape: Float64Array = faces.points[i]
    if rng.random() < 0.25:
        shape = shape + rng.uniform(0, 0.8) * (like - shape)
    if rng.random() < 0.4:
        mouth = faces.points[rng.choice(wide)] if rng.random() < 0.5 else like
        shape = other_mouth(shape, mouth, rng.uniform(0.3, 1.25))
    if rng.random() < 0.35:
        one = rng.uniform(0, 0.6) if rng.random() < 0.6 else rng.uniform(1, 1.7)
        two = one if rng.random() < 0.75 else 1.0
        shape = other_lids(shape, (one, two) if rng.random() < 0.5 else (two, one))
    if rng.random() < 0.35:
        shape = dragged(shape, rng)
    return shape


def open_mouths(faces: AlignedFaces) -> npt.NDArray[np.intp]:
    """Index the twentieth of the faces whose mouths are open the widest, at least one."""
    openings = np.array([mouth_opening(points) for points in faces.points])
    return np.argsort(openings)[-max(1, len(faces) // 20) :]


# --------------------------------------------------------------------------- pictures


def backward_plates(own: Float64Array, shape: Float64Array, places: Float64Array) -> Float64Array:
    """Say where in the picture of `own` the places [M, 2] of the picture of `shape` come from.

    Thin plates (Bookstein, 1989) through the 68 points and a still frame of 16 around them.
    """
    line = np.linspace(-0.25, 1.25, 5) * STORED
    frame = np.array([(x, y) for x in line for y in line if {x, y} & {line[0], line[-1]}])
    knots = np.concatenate([shape, frame]) / STORED
    shift = np.concatenate([own - shape, np.zeros_like(frame)]) / STORED
    n = len(knots)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _plate(knots, knots) + 1e-5 * np.eye(n)
    system[:n, n:] = np.concatenate([np.ones((n, 1)), knots], axis=1)
    system[n:, :n] = system[:n, n:].T
    weights = np.linalg.solve(system, np.concatenate([shift, np.zeros((3, 2))]))
    at = places / STORED
    with_plane = np.concatenate([_plate(at, knots), np.ones((len(at), 1)), at], axis=1)
    before: Float64Array = places + STORED * (with_plane @ weights)
    return before


def _plate(a: Float64Array, b: Float64Array) -> Float64Array:
    a32, b32 = a.astype(np.float32), b.astype(np.float32)
    d2 = (a32[:, None, 0] - b32[None, :, 0]) ** 2 + (a32[:, None, 1] - b32[None, :, 1]) ** 2
    plate: Float64Array = (d2 * np.log(d2 + 1e-9)).astype(np.float64)
    return plate


def placed(
    image: UInt8Image, own: Float64Array, shape: Float64Array, a: complex, b: complex
) -> tuple[UInt8Image, Float64Array]:
    """Warp a face into a shape, then move it by z -> a z + b (x + iy): picture and points."""
    cell = STORED / GRID
    line = (np.arange(GRID) + 0.5) * cell - 0.5
    x, y = np.meshgrid(line, line)
    before = (x + 1j * y - b) / a
    places = np.stack([before.real, before.imag], axis=-1).reshape(-1, 2)
    if shape is not own:
        places = backward_plates(own, shape, places)
    coarse = places.reshape(GRID, GRID, 2).astype(np.float32)
    fine = cv2.resize(coarse, (STORED, STORED), interpolation=cv2.INTER_CUBIC)
    warped = cv2.remap(
        image, fine[..., 0], fine[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    moved = a * (shape[:, 0] + 1j * shape[:, 1]) + b
    return np.asarray(warped, np.uint8), np.stack([moved.real, moved.imag], axis=-1)


def fill_mouth(image: UInt8Image, points: Float64Array, rng: Rng) -> UInt8Image:
    """Paint the dark inside of a mouth between the inner lips, sometimes with upper teeth."""
    inner = points[list(INNER_MOUTH)]
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.round(inner * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    layer = np.empty_like(image, np.float32)
    layer[:] = rng.uniform((30, 10, 10), (110, 55, 55))
    if rng.random() < 0.6:
        upper, lower = inner[:5], inner[[0, 7, 6, 5, 4]]
        edge = upper + rng.uniform(0.25, 0.6) * (lower - upper)
        band = np.round(np.concatenate([upper, edge[::-1]]) * 16).astype(np.int32)
        shade = rng.uniform(130, 235)
        colour = (shade, shade * rng.uniform(0.88, 1), shade * rng.uniform(0.75, 1))
        cv2.fillPoly(layer, [band], colour, cv2.LINE_AA, 4)
    soft = float(rng.uniform(0.6, 1.8))
    share = np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.float32)[..., None]
    inside = np.asarray(cv2.GaussianBlur(layer, (0, 0), soft), np.float32)
    filled: UInt8Image = np.clip(image + share * (inside - image), 0, 255).astype(np.uint8)
    return filled


def hide_a_part(image: UInt8Image, rng: Rng) -> UInt8Image:
    """Cover a box of up to a quarter of the side, by one colour or by another place's pixels."""
    w, h = rng.integers(STORED // 16, STORED // 4, 2)
    (x, x2), (y, y2) = rng.integers(0, STORED - w, 2), rng.integers(0, STORED - h, 2)
    out: UInt8Image = image.copy()
    one_colour = rng.random() < 0.5
    out[y : y + h, x : x + w] = (
        rng.integers(0, 256, 3) if one_colour else image[y2 : y2 + h, x2 : x2 + w]
    )
    return out


def draw_sample(
    rng: Rng, faces: AlignedFaces, often: Float64Array, wide: npt.NDArray[np.intp]
) -> tuple[UInt8Image, Float32Array]:
    """Draw a picture uint8 [128, 128, 3] and its points [68, 2]; `wide` index open mouths."""
    i = int(rng.choice(len(faces), p=often))
    own, image = faces.points[i], faces.images[i]
    shape = drawn_shape(faces, i, wide, rng) if rng.random() < 0.75 else own
    a = complex(np.exp(rng.normal(0, 0.08) + 1j * np.radians(rng.normal(0, 6))))
    middle = (STORED - 1) / 2 * (1 + 1j)
    b = middle - a * middle + complex(*rng.normal(0, 0.03 * STORED, 2))
    image, points = placed(image, own, shape, a, b)
    opened = mouth_opening(points) - mouth_opening(own)
    if opened > 0.06 and rng.random() < 0.65:
        image = fill_mouth(image, points, rng)
    if rng.random() < 0.12:
        image = hide_a_part(image, rng)
    if rng.random() < 0.5:
        image = image[:, ::-1]
        points = points[list(MIRRORED68)] * (-1, 1) + (STORED - 1, 0)
    small = np.asarray(cv2.resize(image, (INPUT, INPUT), interpolation=cv2.INTER_AREA), np.uint8)
    seen = disturb(Image.fromarray(small), rng, soften=2.2) if rng.random() < 0.75 else small
    xy = (points + 0.5) * (INPUT / STORED) - 0.5
    return seen, xy.astype(np.float32)
