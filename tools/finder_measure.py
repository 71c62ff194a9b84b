"""Measure the offline face finder on people it was not trained on.

    python -m tools.finder_measure FACES [--weights runs/finder/finder.safetensors]

Sets: the held-out people's photos; the same on canvases with other backgrounds, one to three
faces, 8 to 90 % of the side, turned up to 40 degrees, disturbed; canvases without a face; pictures
without a face from scikit-image; FACES/dev where it is there. A face counts as found when a
detection lies within 20 % of its eye distance, mean over the five points; the error is the mean
over the found faces.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from inversion.faces.finder import SCORE, FaceFinder, finder_from, load_finder
from stylegan2.arrays import Array, UInt8Image
from tools.finder_canvas import Placement, compose
from tools.finder_data import Backgrounds, Portrait, Rng, load_portraits, split_by_person
from tools.train_finder import draw_turn, similarity

Points = Array
Case = tuple[UInt8Image, list[Points]]
THRESHOLDS = (0.2, 0.35, 0.5, 0.62, 0.73, 0.88)
FACELESS = [
    "brick",
    "cat",
    "cell",
    "checkerboard",
    "clock",
    "coffee",
    "colorwheel",
    "grass",
    "gravel",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "microaneurysms",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
]


def faceless_samples() -> list[UInt8Image]:
    """Return scikit-image's pictures without a face that need no download, as uint8 RGB."""
    import skimage.data

    pictures = []
    for name in FACELESS:
        pixels = np.asarray(getattr(skimage.data, name)())
        pixels = (pixels * 255).astype(np.uint8) if pixels.dtype == bool else pixels
        pictures.append(np.array(Image.fromarray(pixels.astype(np.uint8)).convert("RGB")))
    return pictures


def whole_photos(folder: Path, names: Iterable[str], points: Iterable[Points]) -> Iterable[Case]:
    """Read photos with one face each."""
    for name, five in zip(names, points, strict=True):
        with Image.open(folder / f"{name}.jpg") as image:
            yield np.array(image.convert("RGB")), [five]


def canvases(
    portraits: list[Portrait], backgrounds: Backgrounds, n: int, rng: Rng
) -> Iterable[Case]:
    """Draw hard pictures of 448 px with one to three faces."""
    side = 448.0
    for k in range(n):
        faces = 1 + k % 3
        placements = []
        for i in range(faces):
            cell = (side * i / faces, 0.0, side * (i + 1) / faces, side)
            portrait = portraits[int(rng.integers(len(portraits)))]
            # A face is about 2.3 eye distances wide.
            largest = 0.9 * (cell[2] - cell[0]) / 2.3
            size = math.exp(rng.uniform(math.log(0.08 * side / 2.3), math.log(largest)))
            turn = float(np.clip(draw_turn(rng), -0.7, 0.7))
            a = similarity(portrait, size, turn)
            x = rng.uniform(cell[0] + 1.1 * size, cell[2] - 1.1 * size)
            y = rng.uniform(1.1 * size, side - 1.1 * size)
            b = complex(complex(x, y) - a * portrait.points[:5].mean())
            placements.append(Placement(portrait, a, b, cell))
        pixels, placed = compose(placements, backgrounds, int(side), rng, soften=1.5)
        points = [np.stack([f.points[:5].real, f.points[:5].imag], -1) for f in placed]
        yield pixels, points


def measure(finder: FaceFinder, cases: Iterable[Case], title: str) -> None:
    """Print found share, error and wrong detections at several thresholds, and the time."""
    errors: list[list[tuple[float, float]]] = []
    wrong: list[float] = []
    seconds, pictures = [], 0
    for pixels, truth in cases:
        begun = time.perf_counter()
        faces = finder.find(pixels, least_score=0.2)
        seconds.append(time.perf_counter() - begun)
        pictures += 1
        used = set[int]()
        for five in truth:
            eyes = float(np.hypot(*(five[1] - five[0])))
            off = [float(np.hypot(*(p - five).T).mean()) / eyes for p, _ in faces]
            near = [
                (s, e, k) for k, ((_, s), e) in enumerate(zip(faces, off, strict=True)) if e < 0.2
            ]
            used.update(k for _, _, k in near)
            errors.append([(max(near)[0], max(near)[1])] if near else [])
        wrong += [s for k, (_, s) in enumerate(faces) if k not in used]
    typical = 1e3 * float(np.median(seconds))
    print(f"\n{title}: {pictures} pictures, {len(errors)} faces, {typical:.0f} ms (median)")
    for least in THRESHOLDS:
        found = [e[0][1] for e in errors if e and e[0][0] >= least]
        share = 100 * len(found) / max(1, len(errors))
        error = 100 * float(np.mean(found)) if found else math.nan
        false = sum(s >= least for s in wrong)
        print(f"  score {least:.2f}: found {share:5.1f} %  error {error:4.2f} %  wrong {false}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path)
    parser.add_argument("--weights", type=Path, help="default: the embedded ones")
    parser.add_argument("--held-out", type=int, default=200, help="as in training")
    parser.add_argument("--canvases", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    finder = finder_from(load_file(args.weights)) if args.weights else load_finder()
    _, held_out = split_by_person(load_portraits(args.faces), args.held_out)
    table = np.load(args.faces / "landmarks.npz")
    points = dict(zip(table["id"].tolist(), table["photo5"], strict=True))
    names = [p.name for p in held_out]
    print(f"reported from score {SCORE}")
    photos = whole_photos(args.faces / "photos", names, [points[n] for n in names])
    measure(finder, photos, "held-out photos")
    rng = np.random.default_rng(7)
    backgrounds = Backgrounds(held_out, rng)
    measure(finder, canvases(held_out, backgrounds, args.canvases, rng), "held-out, hard")
    empty: Iterable[Case] = (
        (compose([], backgrounds, 448, rng, 1.5)[0], []) for _ in range(args.canvases)
    )
    measure(finder, empty, "drawn, no face")
    measure(finder, ((p, []) for p in faceless_samples()), "scikit-image, no face")
    if (args.faces / "dev_landmarks.npz").exists():
        dev = np.load(args.faces / "dev_landmarks.npz")
        measure(finder, whole_photos(args.faces / "dev", dev["id"], dev["photo5"]), "dev photos")


if __name__ == "__main__":
    main()
