"""Train the offline face finder (inversion/faces/finder.py) from a folder of faces.

    python -m tools.train_finder FACES --out runs/finder
    python -m tools.finder_measure FACES --weights runs/finder/finder.safetensors

FACES holds photos/, landmarks.npz and index.tsv (tools/README.md). First the detector, then the
refiner with what the detector took wrongly for faces, then the refiner again with what it took
wrongly for faces itself. Each writes a checkpoint to --out every 200 steps and goes on from it
when started again. With --start a finished finder learns on, on its five points alone: take a
tenth of the learning rate and of the steps then.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from inversion.faces.finder import HOPELESS, FaceFinder, finder_from
from inversion.faces.finder_geometry import CROP_EYES, Reductions, crop_of, fit_template
from inversion.faces.finder_networks import (
    CROP,
    REACH,
    STRIDE,
    ConvUnit,
    FaceDetector,
    FaceRefiner,
    to_input,
)
from stylegan2.arrays import Array, UInt8Image
from tools.finder_canvas import Placement, compose, disturb
from tools.finder_data import Backgrounds, Portrait, Rng, fit, load_portraits, split_by_person

Sample = tuple[Array, ...]
FIELD = 112
"""Side of the detector's training canvases, in pixels."""
SIZES = (8.0, 23.0)
"""Eye distances, in pixels, that the detector must find at one octave."""
UNSURE = 29.0
"""Larger eye distances are no faces at this octave; what lies between counts as neither."""
POOL, USES = 128, 2
"""Samples kept at hand, and how often each is used: drawing one costs as much as learning it."""
TURNED = 0.25
"""Share of the eye distance by which the nose of a head turned aside lies off the eyes' middle."""
UNMARKED = 4.0
"""Away from the marked face, a face logit from which on there probably is another one."""


# --------------------------------------------------------------------------- samples


def similarity(portrait: Portrait, size: float, turn: float) -> complex:
    """Return a of the similarity that gives the face this eye distance, turned by `turn` more."""
    return complex(size / abs(fit(portrait.points)[0]) * np.exp(1j * turn))


def turned(portrait: Portrait) -> float:
    """Return how far the nose lies aside of the eyes' middle, in eye distances."""
    left, right, nose = portrait.points[:3]
    return float(abs(((nose - (left + right) / 2) / (right - left)).real))


def draw_turn(rng: Rng) -> float:
    """Draw an in-plane rotation in radians: mostly small, up to 45 degrees."""
    return math.radians(rng.normal(0, 12) if rng.random() < 0.55 else rng.uniform(-45, 45))


def detector_sample(rng: Rng, portraits: Sequence[Portrait], backgrounds: Backgrounds) -> Sample:
    """Draw canvas, centre heat, what of it counts, point offsets, what of those counts."""
    kind, h = rng.random(), FIELD / 2
    cells = [(0.0, 0.0, 2 * h, 2 * h)]
    if kind < 0.15:
        cells = []
    elif kind < 0.3:
        cells = [(0, 0, h, 2 * h), (h, 0, 2 * h, 2 * h)]
    elif kind < 0.4:
        cells = [(0, 0, h, h), (h, 0, 2 * h, h), (0, h, h, 2 * h), (h, h, 2 * h, 2 * h)]
    placements = []
    for cell in cells:
        portrait = portraits[int(rng.integers(len(portraits)))]
        low, high = (6.5, 27.0) if rng.random() < 0.8 else (27.0, 110.0)
        if len(cells) == 4:
            high = min(high, 17.0)
            low = min(low, 12.0)
        size = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        turn = draw_turn(rng) + (math.pi if rng.random() < 0.03 else 0)
        reach = 0.9 * min(size, (cell[2] - cell[0]) / 2 - 1)
        middle = complex(
            rng.uniform(cell[0] + reach, cell[2] - reach),
            rng.uniform(cell[1] + reach, cell[3] - reach),
        )
        a = similarity(portrait, size, turn)
        b = complex(middle - a * portrait.points[:5].mean())
        placements.append(Placement(portrait, a, b, cell, broken=rng.random() < 0.04))
    pixels, faces = compose(placements, backgrounds, FIELD, rng, soften=1.8)

    line = np.arange(FIELD // STRIDE) * STRIDE + (STRIDE - 1) / 2
    centres = line[None, :] + 1j * line[:, None]
    heat, counts = np.zeros(centres.shape, np.float32), np.ones(centres.shape, np.float32)
    offsets = np.zeros((5, 2, *centres.shape), np.float32)
    near = np.zeros(centres.shape, np.float32)
    for face in faces:
        five = face.points[:5]
        middle, size = complex(five.mean()), abs(fit(five)[0])
        away = np.abs(centres - middle)
        if face.seen == 5 and SIZES[0] <= size <= SIZES[1]:
            glow = np.exp(-(away**2) / (2 * max(4.0, 0.22 * size) ** 2))
            glow[away == away.min()] = 1
            shift = five[:, None, None] - centres
            here = (glow > 0.4) & (glow > heat)
            offsets[:, :, here] = np.stack([shift.real, shift.imag], axis=1)[:, :, here] / REACH
            near[here] = REACH / size
            heat = np.maximum(heat, glow.astype(np.float32))
        elif face.seen > 0 and size <= UNSURE:
            counts[away < max(size, 8)] = 0
    return pixels, heat, counts, offsets, near


def refiner_sample(
    rng: Rng,
    portraits: Sequence[Portrait],
    backgrounds: Backgrounds,
    mistaken: Sequence[UInt8Image],
) -> Sample:
    """Draw crop, points xy [73, 2] and which of them count, and 1 for a face or 0 for none."""
    kind = rng.random()
    if kind < 0.22:
        if mistaken and rng.random() < 0.7:
            crop = mistaken[int(rng.integers(len(mistaken)))]
            crop = disturb(Image.fromarray(crop[:, :: rng.choice([-1, 1])]), rng, 1.5)
        else:
            crop, _ = compose([], backgrounds, CROP, rng, soften=3.5)
        return (
            crop,
            np.zeros((73, 2), np.float32),
            np.zeros(73, np.float32),
            np.zeros((), np.float32),
        )
    portrait = portraits[int(rng.integers(len(portraits)))]
    zoom, turn, shift = _look(rng)
    wrong = kind < 0.33
    broken = False
    if kind < 0.25:
        broken = True
    elif kind < 0.27:
        turn += math.pi
    elif kind < 0.3:  # a part of a face, close
        zoom *= rng.uniform(2.2, 4.5)
        shift = zoom * CROP_EYES * complex(*rng.uniform(-0.6, 0.6, 2))
    elif wrong:  # beside the face, or far from it
        shift = CROP_EYES * rng.uniform(1.3, 2) * np.exp(2j * np.pi * rng.random())
    a, b = crop_of(*fit(portrait.points))
    middle = (CROP - 1) * (0.5 + 0.5j)
    spin = zoom * np.exp(1j * turn)
    a, b = spin / a, middle + shift - spin * (middle + b / a)
    cells = _cells(rng, a * portrait.points[:5] + b)
    placements = [Placement(portrait, complex(a), complex(b), cells[0], broken)]
    for cell in cells[1:]:
        other = portraits[int(rng.integers(len(portraits)))]
        a = similarity(other, CROP_EYES * rng.uniform(0.5, 1.5), draw_turn(rng))
        b = complex(cell[0] + cell[2], cell[1] + cell[3]) / 2 - a * other.points[:5].mean()
        placements.append(Placement(other, a, complex(b), cell))
    crop, faces = compose(placements, backgrounds, CROP, rng, soften=3.7)
    points = np.zeros(73, complex) if wrong else faces[0].points
    xy = np.stack([points.real, points.imag], axis=-1).astype(np.float32)
    counts = np.asarray(((xy > -1) & (xy < CROP)).all(-1) & (not wrong), np.float32)
    return crop, xy, counts, np.array(not wrong, np.float32)


def _look(rng: Rng) -> tuple[float, float, complex]:
    """Draw how far the proposal is off: a little (second look) or more (first look)."""
    far = 1.0 if rng.random() < 0.6 else 0.35
    turn = math.radians(far * rng.normal(0, 12))
    shift = CROP_EYES * far * 0.16 * complex(*rng.standard_normal(2))
    return float(np.exp(far * rng.normal(0, 0.18))), turn, shift


def _cells(rng: Rng, five: npt.NDArray[np.complex128]) -> list[tuple[float, float, float, float]]:
    """Keep the whole crop for the face, or give another face one side of it."""
    whole = (0.0, 0.0, float(CROP), float(CROP))
    if rng.random() > 0.2:
        return [whole]
    edge = float(five.real.max() + CROP_EYES * rng.uniform(0.2, 0.9))
    if edge > CROP - 6:
        return [whole]
    return [(0.0, 0.0, edge, float(CROP)), (edge, 0.0, float(CROP), float(CROP))]


class Samples(IterableDataset[Sample]):
    """An endless stream of samples, its randomness fixed by seed, start and worker."""

    def __init__(self, draw: Callable[[Rng], Sample], seed: int, start: int) -> None:
        self.draw, self.seed, self.start = draw, seed, start

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
        return tuple(np.array(part) for part in self.draw(rng))


# --------------------------------------------------------------------------- losses


def detector_loss(
    detector: FaceDetector, batch: Sequence[Tensor]
) -> tuple[Tensor, dict[str, float]]:
    """Focal loss on the centres ("Objects as Points", arXiv 1904.07850, eq. 1) and L1 on points."""
    pixels, heat, counts, offsets, near = batch
    logit, found = detector(to_input(pixels.numpy()))
    p = logit.sigmoid()
    peak = (heat == 1).float()
    hit = -(peak * (1 - p).square() * F.logsigmoid(logit)).sum()
    miss = -((1 - heat) ** 4 * (1 - peak) * counts * p.square() * F.logsigmoid(-logit)).sum()
    centre = (hit + miss) / peak.sum().clamp(min=1)
    off = (found - offsets).abs().mean(dim=(1, 2))
    points = (off * near * heat).sum() / heat[near > 0].sum().clamp(min=1)
    return centre + 3 * points, {"centre": centre.item(), "points": points.item()}


def refiner_loss(refiner: FaceRefiner, batch: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
    """L1 on points in eye distances, cross-entropy on their heatmaps and on face or none."""
    pixels, xy, counts, label = batch
    found, heat, face = refiner(to_input(pixels.numpy()))
    xy, counts = xy[:, : found.shape[1]], counts[:, : found.shape[1]]
    weight = counts * torch.cat([torch.ones(5), torch.full((68,), 0.15)])[: found.shape[1]]
    total = weight.sum().clamp(min=1)
    off = (found - xy).abs().sum(-1) / CROP_EYES
    points = (off * weight).sum() / total
    cell = torch.arange(heat.shape[-1]) * 4 + 1.5
    glow = (-(xy[..., None] - cell).square() / (2 * 4.0**2)).softmax(dim=-1)
    goal = (glow[:, :, 1, :, None] * glow[:, :, 0, None, :]).flatten(2)
    spread = -(goal * heat.flatten(2).log_softmax(dim=2)).sum(-1)
    spread = (spread * weight).sum() / total
    judged = F.binary_cross_entropy_with_logits(face, label)
    five = (off * counts)[:, :5].sum() / counts[:, :5].sum().clamp(min=1)
    shown = {"points": five.item(), "spread": spread.item(), "face": judged.item()}
    return 10 * points + 0.2 * spread + judged, shown


# --------------------------------------------------------------------------- training


def steps_done(checkpoint: Path) -> int:
    """Read how far a checkpoint has come; 0 where there is none."""
    return int(torch.load(checkpoint, weights_only=True)["step"]) if checkpoint.exists() else 0


def train(
    network: nn.Module,
    draw: Callable[[Rng], Sample],
    loss_of: Callable[..., tuple[Tensor, dict[str, float]]],
    checkpoint: Path,
    steps: int,
    lr: float,
    args: argparse.Namespace,
) -> None:
    """Train for `steps` steps or go on from the checkpoint; mutates the network."""
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
    start = steps_done(checkpoint)
    if start:
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    if start >= steps:
        return
    stream = Samples(draw, args.seed, start)
    ahead = 4 if args.workers else None
    batches = iter(DataLoader(stream, args.batch, num_workers=args.workers, prefetch_factor=ahead))
    begun, mean = time.monotonic(), dict[str, float]()
    for step in range(start + 1, steps + 1):
        warm = min(1.0, step / 100)
        rate = lr * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, shown = loss_of(network, next(batches))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        for key, value in shown.items():
            mean[key] = 0.98 * mean.get(key, value) + 0.02 * value
        if step % 50 == 0 or step == steps:
            figures = "  ".join(f"{key} {value:.4f}" for key, value in mean.items())
            print(
                f"{checkpoint.stem} {step}/{steps}  {figures}  {time.monotonic() - begun:.0f} s",
                flush=True,
            )
        if step % 200 == 0 or step == steps:
            state = {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
            }
            part = checkpoint.with_suffix(".part")
            torch.save(state, part)
            part.replace(checkpoint)


def folded(trained: nn.Module, plain: nn.Module) -> dict[str, Tensor]:
    """Fold every batch norm into its convolution; returns the state of the plain network."""
    state = {}
    units = {name: m for name, m in trained.named_modules() if isinstance(m, ConvUnit)}
    source = trained.state_dict()
    for name, wanted in plain.state_dict().items():
        unit = units.get(name.rpartition(".conv.")[0])
        value = source[name][: len(wanted)]
        if unit is not None and unit.norm is not None:
            norm = unit.norm
            assert norm.running_var is not None and norm.running_mean is not None
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            if name.endswith("weight"):
                value = value * gain[:, None, None, None]
            else:
                value = norm.bias + (value - norm.running_mean) * gain
        state[name] = value.detach().contiguous()
    return state


def build(detector: FaceDetector, refiner: FaceRefiner) -> FaceFinder:
    """Build a finder from networks in training."""
    plain = FaceFinder(FaceDetector(), FaceRefiner())
    plain.detector.load_state_dict(folded(detector, plain.detector))
    plain.refiner.load_state_dict(folded(refiner, plain.refiner))
    return plain


def mistakes(
    finder: FaceFinder,
    portraits: Sequence[Portrait],
    backgrounds: Backgrounds,
    rng: Rng,
    pictures: int,
    *,
    judged: bool,
) -> list[UInt8Image]:
    """Collect crops of what is wrongly taken for a face in portraits and faceless canvases.

    Without `judged` they are the detector's proposals; with it, what the refiner makes of those
    that it does not reject at once, short of what may well be a face that nobody marked.
    """
    crops = []
    for k in range(pictures):
        if k % 3 == 0:
            pixels, _ = compose([], backgrounds, 224, rng, soften=1.5)
            wrong_only, photo = None, Reductions(Image.fromarray(pixels))
        else:
            wrong_only = portraits[int(rng.integers(len(portraits)))]
            photo = wrong_only.picture
        with torch.inference_mode():
            points, _ = finder.propose(photo.picture)
            if judged:
                points, face = finder.look(photo, points)
                points = points[(face >= HOPELESS) & (face < UNMARKED)]
        wrong = np.ones(len(points), bool)
        if wrong_only is not None:
            size, middle = abs(fit(wrong_only.points)[0]), wrong_only.points[:5].mean()
            ratio = np.abs(fit_template(points)[0]) / size
            wrong = (np.abs(points.mean(-1) - middle) > size) | (np.abs(np.log2(ratio)) > 1)
        for a, b in zip(*fit_template(points[wrong][:5]), strict=True):
            crops.append(np.asarray(photo.crop(*crop_of(a, b), CROP)))
    return crops


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="folder with photos/, landmarks.npz, index.tsv")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for checkpoints and weights"
    )
    parser.add_argument("--start", type=Path, help="weights of a finished finder to go on from")
    parser.add_argument(
        "--keep",
        type=float,
        default=0.0,
        help="share of the start's weights in what is written (arXiv 2109.01903)",
    )
    parser.add_argument(
        "--turned", type=int, default=0, help="how many times more to show heads turned aside"
    )
    parser.add_argument("--detector-steps", type=int, default=1200)
    parser.add_argument("--refiner-steps", type=int, default=1500)
    parser.add_argument("--again-steps", type=int, default=400, help="refiner, second round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--held-out", type=int, default=200, help="people kept for validation")
    parser.add_argument("--mistake-pictures", type=int, default=1500, help="a round")
    parser.add_argument("--drawn", type=int, default=600, help="backgrounds to draw")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    portraits, _ = split_by_person(load_portraits(args.faces), args.held_out)
    backgrounds = Backgrounds(portraits, np.random.default_rng(args.seed), args.drawn)
    portraits = [p for p in portraits for _ in range(1 + args.turned * (turned(p) > TURNED))]
    print(f"{len(portraits)} portraits", flush=True)

    if args.start is None:
        detector, refiner = FaceDetector(normalise=True), FaceRefiner(73, normalise=True)
        with torch.no_grad():
            detector.head.get_parameter("bias")[0] = -3.0  # faces are rare
    else:
        known = finder_from(load_file(args.start))
        detector, refiner = known.detector, known.refiner
    train(
        detector,
        partial(detector_sample, portraits=portraits, backgrounds=backgrounds),
        detector_loss,
        args.out / "detector.pt",
        args.detector_steps,
        args.lr,
        args,
    )
    rounds = (
        (args.out / "refiner.pt", args.refiner_steps, 1.0),
        (args.out / "refiner-again.pt", args.again_steps, 0.2),
    )
    for judged, (checkpoint, steps, rate) in enumerate(rounds):
        detector.eval()
        refiner.eval()
        rng = np.random.default_rng((args.seed, 1 + judged))
        wrong = []
        if steps_done(checkpoint) < steps:
            finder, n = build(detector, refiner), args.mistake_pictures
            wrong = mistakes(finder, portraits, backgrounds, rng, n, judged=bool(judged))
        print(f"{len(wrong)} mistakes to learn from", flush=True)
        train(
            refiner,
            partial(refiner_sample, portraits=portraits, backgrounds=backgrounds, mistaken=wrong),
            refiner_loss,
            checkpoint,
            steps,
            rate * args.lr,
            args,
        )
    finder = build(detector, refiner.eval())
    tensors = {f"detector.{k}": v for k, v in finder.detector.state_dict().items()}
    tensors |= {f"refiner.{k}": v for k, v in finder.refiner.state_dict().items()}
    if args.start is not None:
        old = load_file(args.start)
        tensors = {k: v.lerp(old[k].float(), args.keep) for k, v in tensors.items()}
    save_file(
        {name: tensor.half().contiguous() for name, tensor in tensors.items()},
        args.out / "finder.safetensors",
        metadata={"format": "realdrag-finder"},
    )


if __name__ == "__main__":
    main()
