"""Train the 68-point network (inversion/faces/landmark_network.py) from a folder of faces.

    python -m tools.train_landmarks FACES --out runs/landmarks
    python -m tools.train_landmarks FACES --out runs/landmarks --measure-only

FACES holds aligned/, landmarks.npz and index.tsv (tools/README.md). A checkpoint is written to
--out every 500 steps, with the averaged network as landmarks.safetensors and its error on the
people held out; the same command goes on from it.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from inversion.faces.finder import load_finder
from inversion.faces.finder_networks import to_input
from inversion.faces.landmark_network import CELL, INPUT, Landmarker, LandmarkNet, landmarker_from
from inversion.faces.shape68 import (
    INNER_MOUTH,
    LOWER_LIDS,
    OUTER_MOUTH,
    REGIONS,
    UPPER_LIDS,
    eye_distance,
    mouth_opening,
)
from stylegan2.arrays import Float32Array, UInt8Image
from tools.checkpoint import save_state
from tools.finder_data import Rng
from tools.landmark_data import (
    AlignedFaces,
    draw_sample,
    drawn_shape,
    fill_mouth,
    how_often,
    load_aligned,
    open_mouths,
    placed,
    split,
)

Sample = tuple[UInt8Image, Float32Array]
POOL, USES = 192, 3
"""Samples kept at hand, and how often each is used: drawing one costs half of learning it."""
EYES = 32.0
"""The usual eye distance in the network's input, in pixels."""
HALF_LIFE = 300.0
"""Steps in which the averaged network forgets half."""
GAPS = (
    (*UPPER_LIDS, 61, 62, 63, 51),
    (*LOWER_LIDS, 67, 66, 65, 57),
)
"""Pairs one above the other whose distance is learnt besides their places: lids and lips."""
WEIGHTS = torch.ones(68)
WEIGHTS[list(OUTER_MOUTH + INNER_MOUTH + REGIONS["eyes"])] = 1.6
WEIGHTS[list(REGIONS["jaw"])] = 0.7


class Samples(IterableDataset[Sample]):
    """An endless stream of samples, its randomness fixed by seed, start and worker."""

    def __init__(self, faces: AlignedFaces, seed: int, start: int) -> None:
        self.faces, self.seed, self.start = faces, seed, start
        self.often = how_often(faces)
        self.wide = open_mouths(faces)

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        rng = np.random.default_rng((self.seed, self.start, info.id if info else 0))
        pool = [self.sample(rng) for _ in range(POOL)]
        while True:
            k = int(rng.integers(POOL))
            if rng.random() < 1 / USES:
                pool[k] = self.sample(rng)
            yield pool[k]

    def sample(self, rng: Rng) -> Sample:
        return draw_sample(rng, self.faces, self.often, self.wide)


def loss_of(network: LandmarkNet, pixels: Tensor, xy: Tensor) -> tuple[Tensor, dict[str, float]]:
    """L1 on points and on the gaps of lids and lips in eye distances, cross-entropy on heatmaps.

    pixels uint8 [N, 128, 128, 3], xy [N, 68, 2]; points outside the picture do not count.
    """
    found, heat = network(to_input(pixels.numpy()))
    inside = ((xy > -1) & (xy < INPUT)).all(dim=-1)
    weight = inside * WEIGHTS
    total = weight.sum()
    off = (found - xy).abs().sum(-1)
    points = (off * weight).sum() / total / EYES
    up, low = list(GAPS[0]), list(GAPS[1])
    wrong_gap = ((found[:, up] - found[:, low]) - (xy[:, up] - xy[:, low])).abs().sum(-1)
    gaps = wrong_gap.mean() / EYES
    cells = torch.arange(INPUT // CELL) * CELL + (CELL - 1) / 2
    glow = (-(xy[..., None] - cells).square() / (2 * CELL**2)).softmax(dim=-1)
    goal = (glow[:, :, 1, :, None] * glow[:, :, 0, None, :]).flatten(2)
    spread = -(goal * heat.flatten(2).log_softmax(dim=2)).sum(-1)
    spread = (spread * weight).sum() / total
    mean = (torch.hypot(*(found - xy).unbind(-1)) * inside).sum() / inside.sum() / EYES
    shown = {"mean": mean.item(), "gaps": gaps.item(), "spread": spread.item()}
    return 10 * points + 5 * gaps + 0.1 * spread, shown


def errors(landmarker: Landmarker, faces: AlignedFaces) -> dict[str, float]:
    """Measure the mean error in percent of the eye distance, over all points and by region."""
    off = np.stack(
        [
            np.hypot(*(landmarker.landmarks68(image) - points).T) / eye_distance(points)
            for image, points in zip(faces.images, faces.points, strict=True)
        ]
    )
    by_region = {name: 100 * float(off[:, list(own)].mean()) for name, own in REGIONS.items()}
    mouth = list(OUTER_MOUTH + INNER_MOUTH)
    by_region["mouth"] = 100 * float(off[:, mouth].mean())
    return {"all": 100 * float(off.mean()), **by_region}


def followed(landmarker: Landmarker, faces: AlignedFaces, seed: int) -> dict[str, float]:
    """Measure in percent how much of its way a point is seen to go when its face is warped.

    Each face is drawn once, its shape changed as in training, its colours left. A way is measured
    as an edit's is: between the points found before and after. Of points that went a tenth of the
    eye distance or more, by region: the part of the way along it, and "off", what the way is
    wrong by, in percent of the eye distance.
    """
    rng, wide = np.random.default_rng(seed), open_mouths(faces)
    ways, seen = [], []
    for i, (image, own) in enumerate(zip(faces.images, faces.points, strict=True)):
        shape = drawn_shape(faces, i, wide, rng)
        after, wanted = placed(image, own, shape, 1, 0)
        if mouth_opening(wanted) - mouth_opening(own) > 0.06:
            after = fill_mouth(after, wanted, rng)
        size = eye_distance(own)
        found = landmarker.landmarks68(after) - landmarker.landmarks68(image)
        ways.append((wanted - own) / size)
        seen.append(found / size)
    way, saw = np.stack(ways), np.stack(seen)
    far = np.hypot(*way.T).T > 0.1
    told = {}
    for name, own_points in REGIONS.items():
        part = np.zeros_like(far)
        part[:, list(own_points)] = far[:, list(own_points)]
        if part.any():
            told[name] = 100 * float((way[part] * saw[part]).sum() / (way[part] ** 2).sum())
    if far.any():
        told["off"] = 100 * float(np.hypot(*(way - saw)[far].T).mean())
    return told


def started() -> LandmarkNet:
    """Build a network that sees what the face finder's refiner sees, and knows no point yet."""
    network = LandmarkNet()
    known = load_finder().refiner
    pairs = (
        (network.to32, known.to20),
        (network.to16, known.to10),
        (network.to8, known.to5),
        (network.up16, known.up10),
        (network.up32, known.up20),
        (network.fuse, known.fuse),
    )
    for own, theirs in pairs:
        own.load_state_dict(theirs.state_dict())
    nn.init.zeros_(network.up8.weight)
    return network


def train(train_on: AlignedFaces, held_out: AlignedFaces, args: argparse.Namespace) -> None:
    """Train for --steps steps, or go on from the checkpoint in --out."""
    network, average = started(), started()
    average.load_state_dict(network.state_dict())
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr, weight_decay=0.01)
    checkpoint = args.out / "landmarks.pt"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    stream = Samples(train_on, args.seed, start)
    ahead = 4 if args.workers else None
    batches = iter(DataLoader(stream, args.batch, num_workers=args.workers, prefetch_factor=ahead))
    begun, mean = time.monotonic(), dict[str, float]()
    for step in range(start + 1, args.steps + 1):
        rate = args.lr * min(1.0, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        pixels, xy = next(batches)
        loss, shown = loss_of(network, pixels, xy)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        follow(average, network, step)
        for key, value in shown.items():
            mean[key] = 0.98 * mean.get(key, value) + 0.02 * value
        if step % 50 == 0:
            figures = "  ".join(f"{key} {value:.4f}" for key, value in mean.items())
            print(f"{step}/{args.steps}  {figures}  {time.monotonic() - begun:.0f} s", flush=True)
        if step % 500 == 0 or step == args.steps:
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
            }
            save_state(state, checkpoint)
            landmarker = landmarker_from(average.state_dict())
            write(landmarker, args.out / "landmarks.safetensors")
            show(errors(landmarker, held_out))


@torch.no_grad()
def follow(average: LandmarkNet, network: LandmarkNet, step: int) -> None:
    """Move the average towards the live network."""
    beta = min(0.5 ** (1 / HALF_LIFE), step / (step + 10))
    for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(theirs, 1 - beta)


def write(landmarker: Landmarker, path: Path) -> None:
    """Write float16 weights."""
    tensors = landmarker.network.state_dict()
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    save_file(halves, path, metadata={"format": "realdrag-landmarks"})


def show(by_region: dict[str, float]) -> None:
    print("  ".join(f"{name} {value:.2f} %" for name, value in by_region.items()), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="folder with aligned/, landmarks.npz, index.tsv")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and weights")
    parser.add_argument("--measure-only", action="store_true", help="measure what --out holds")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--held-out", type=int, default=150, help="people kept for validation")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    train_on, held_out = split(load_aligned(args.faces), args.held_out)
    print(f"{len(train_on)} pictures to learn from, {len(held_out)} held out", flush=True)
    if args.measure_only:
        landmarker = landmarker_from(load_file(args.out / "landmarks.safetensors"))
        show(errors(landmarker, held_out))
        show(followed(landmarker, held_out, args.seed))
    else:
        train(train_on, held_out, args)


if __name__ == "__main__":
    main()
