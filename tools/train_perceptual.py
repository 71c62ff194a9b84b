"""Train the offline perceptual distance (inversion/perceptual_network.py) from a folder of faces.

    python -m tools.train_perceptual FACES --out runs/perceptual.safetensors
    python -m tools.perceptual_check FACES --weights runs/perceptual.safetensors

Nobody judged these pictures. The network learns from orders that are known without asking, each
between versions of one portrait, and only what stays within one version's order is compared:

1. more of the same change looks more different than less of it;
2. at an equal squared error, changes of light, colour, place and shape look less different than
   noise and patterns, those less than blur, JPEG's blocks or a missing eye (Wang and Bovik, "Mean
   Squared Error: Love It or Leave It?", 2009, figure 2; Zhang et al., arXiv 1801.03924, figure 1);
3. a slightly changed picture looks less different than another photo of the person, and that
   less than somebody else's;
4. a changed picture's own original is nearer to it than any other picture.

Each is a hinge on the logarithms of distances, so that none is driven further than to be clear,
and different portraits are held at 0.6, where LPIPS has them.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from inversion.perceptual import OfflineDistance
from inversion.perceptual_network import PerceptualNetwork, load_network
from tools.distortions import (
    COLOURS,
    EVERY,
    HOLES,
    LOSSES,
    NOISES,
    PATTERNS,
    PLACES,
    Distortion,
    column,
    mse,
)
from tools.finder_data import chosen_people

SIZE = 128
SIZES = (64, 64, 96, 128)
"""Side of the pictures in memory, and those of which each step takes one."""
OTHERS = 0.6
"""Distance of different portraits; LPIPS has them about there."""
CLEAR = 0.3
"""By how much the logarithms of two distances must differ."""
HARSH_DB = (19.0, 27.0)
"""Between these PSNR blur and blocks look worse than equally strong noise; where both are slight,
nobody knows."""


# --------------------------------------------------------------------------- pictures


def read_portraits(folder: Path, held_out: int, *, keep: bool) -> dict[str, Tensor]:
    """Read aligned pictures by person, uint8 [n, 3, SIZE, SIZE].

    With `keep` those of the people held out, as many as `held_out`, else all others.
    """
    with open(folder / "index.tsv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == "train"]
    out = chosen_people((row["person"] for row in rows), held_out)
    found = defaultdict(list)
    for row in rows:
        if (row["person"] in out) == keep:
            with Image.open(folder / "aligned" / f"{row['id']}.jpg") as image:
                small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)
            found[row["person"]].append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    return {person: torch.stack(pictures) for person, pictures in found.items()}


def draw_portraits(
    portraits: Sequence[Tensor], n: int, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw n portraits, another photo of each of them, and whether it is one [n].

    Half of the people are drawn from those with two photos. Both photos are mirrored alike.
    """
    several = [k for k, pictures in enumerate(portraits) if len(pictures) > 1]
    chosen = torch.randperm(len(portraits), generator=rng)[:n].tolist()
    for i in range(min(n // 2, len(several))):
        chosen[i] = several[int(torch.randint(len(several), (1,), generator=rng))]
    two, real = [], []
    for k in chosen:
        order = torch.randperm(len(portraits[k]), generator=rng)
        two.append(portraits[k][order[[0, -1]]])
        real.append(len(order) > 1)
    x = torch.stack(two).float() / 127.5 - 1
    size = SIZES[int(torch.randint(len(SIZES), (1,), generator=rng))]
    x = F.interpolate(x.flatten(0, 1), size=(size, size), mode="area").unflatten(0, (n, 2))
    flip = torch.rand(n, 1, 1, 1, 1, generator=rng) < 0.5
    x = torch.where(flip, x.flip(-1), x)
    return x[:, 0], x[:, 1], torch.tensor(real)


# --------------------------------------------------------------------------- orders


def one_of(kinds: dict[str, Distortion], rng: torch.Generator) -> Distortion:
    """Draw a kind of change."""
    return list(kinds.values())[int(torch.randint(len(kinds), (1,), generator=rng))]


def with_seed(distort: Distortion, x: Tensor, strength: Tensor, seed: int) -> Tensor:
    """Apply a change whose randomness is fixed by seed."""
    return distort(x, strength, torch.Generator().manual_seed(seed))


def scaled_to(distort: Distortion, x: Tensor, wanted: Tensor, seed: int) -> Tensor:
    """Apply a change that is proportional to its strength so that the squared error is `wanted`."""
    unit = with_seed(distort, x, torch.full_like(wanted, 0.2), seed)
    return x + (unit - x) * column((wanted / mse(unit, x).clamp_min(1e-8)).sqrt())


def versions(x: Tensor, rng: torch.Generator) -> tuple[Tensor, list[tuple[int, int, Tensor]]]:
    """Draw changed versions of each picture, [V, N, 3, S, S], and their orders.

    An order (a, b, valid [N]) says that version a looks less different from the picture than b.
    """
    n = x.shape[0]
    seed = int(torch.randint(2**31, (1,), generator=rng))
    always = torch.ones(n, dtype=torch.bool)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=rng)

    bad, strength = one_of(LOSSES | HOLES, rng), draw(0.15, 1.0)
    worst = with_seed(bad, x, strength, seed)
    wanted = mse(worst, x)
    decibels = 10 * (4 / wanted.clamp_min(1e-8)).log10()
    colour = scaled_to(one_of(COLOURS, rng), x, wanted, seed + 1)
    noise_kind = one_of(NOISES | PATTERNS, rng)
    noisy = scaled_to(noise_kind, x, wanted, seed + 2)
    place, amount = one_of(PLACES, rng), draw(0.15, 1.0)
    moved = with_seed(place, x, amount, seed + 3)
    near = mse(moved, x) <= 1.5 * wanted
    clear = (decibels > HARSH_DB[0]) & (decibels < HARSH_DB[1])
    missing_eye = torch.full_like(clear, bad in HOLES.values())
    some = decibels < 32

    kind, least = one_of(EVERY, rng), draw(0.08, 0.5)
    factor = draw(1.4, 2.0)
    less = with_seed(kind, x, least, seed + 4)
    more = with_seed(kind, x, least * factor, seed + 4)
    weaker = with_seed(bad, x, strength / 1.6, seed)
    calm = x + 0.5 * (noisy - x)
    made = [worst, colour, noisy, moved, less, more, weaker, calm]
    orders = [
        (1, 0, some),
        (1, 2, some),
        (3, 0, near & some),
        (3, 2, near & some & (decibels < 27)),
        (2, 0, clear & ~missing_eye),
        (4, 5, mse(more, x) > 1.2 * mse(less, x)),
        (6, 0, mse(weaker, x) < 0.85 * wanted),
        (7, 2, always),
        (4, 1, (mse(less, x) < 0.05 * wanted) & (decibels < 26)),
    ]
    return torch.stack(made), orders


# --------------------------------------------------------------------------- the loss


def pairwise(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Return the distances [N, M] of every picture of one list of features to every other."""
    total = torch.zeros([])
    for x, y in zip(a, b, strict=True):
        places = x.shape[2] * x.shape[3]
        x, y = x.flatten(1), y.flatten(1)
        squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * x @ y.T
        total = total + squares.clamp_min(0) / places
    return total


def hinge(less: Tensor, more: Tensor, valid: Tensor) -> Tensor:
    """Penalise log distances [N] that are not CLEAR apart where the order is valid."""
    return (F.relu(CLEAR - (more - less)) * valid).sum() / valid.sum().clamp_min(1)


def loss_of(
    network: PerceptualNetwork,
    portraits: Sequence[Tensor],
    n: int,
    rng: torch.Generator,
    *,
    bfloat16: bool = False,
) -> tuple[Tensor, dict[str, float]]:
    """Draw portraits and return how much the network's distance breaks their orders."""
    x, other_photo, real = draw_portraits(portraits, n, rng)
    made, orders = versions(x, rng)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        every = network(torch.cat([x, other_photo, made.flatten(0, 1)]))
    every = [f.float() for f in every]
    own = [f[:n] for f in every]
    distance = OfflineDistance(network)
    logs = [
        (distance.between([f[(k + 1) * n : (k + 2) * n] for f in every], own) + 1e-6).log()
        for k in range(len(made) + 1)
    ]
    same, logs = logs[0], logs[1:]
    ranked = torch.stack([hinge(logs[a], logs[b], valid) for a, b, valid in orders])
    right = torch.stack([((logs[b] > logs[a]) * valid).sum() for a, b, valid in orders])
    valid = torch.stack([valid.sum() for _, _, valid in orders])

    off = ~torch.eye(n, dtype=torch.bool)
    others = (pairwise(own, own) + 1e-6).log()
    typical = others[off].mean()
    people = hinge(same, typical, real)
    slight = mse(made[4], x) < 4e-3
    people = people + hinge(logs[4], same, real & slight) + hinge(logs[4], typical, slight)
    found = (pairwise([f[2 * n : 3 * n] for f in every], own) + 1e-6).log()
    own_first = F.cross_entropy(-4 * found, torch.arange(n))
    level = (typical - math.log(OTHERS)).square()
    loss = ranked.sum() + people + own_first + level
    shown = {
        "orders": float(ranked.detach().sum()),
        "right": float(right.sum() / valid.sum()),
        "people": float(people.detach()),
        "own first": float(own_first.detach()),
        "others": float(typical.detach().exp()),
    }
    return loss, shown


# --------------------------------------------------------------------------- training


def fresh_network(seed: int) -> PerceptualNetwork:
    """Build a network whose activations keep their size from layer to layer."""
    torch.manual_seed(seed)
    network = PerceptualNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert module.bias is not None
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            torch.nn.init.zeros_(module.bias)
    with torch.no_grad():
        for weight in network.weights:
            weight.fill_(-1.0)
    return network.to(memory_format=torch.channels_last)


@torch.no_grad()
def calibrate(network: PerceptualNetwork, portraits: Sequence[Tensor]) -> None:
    """Scale the weights so that the median distance of different people is OTHERS."""
    x = torch.stack([pictures[0] for pictures in portraits[:64]]).float() / 127.5 - 1
    features = [torch.cat(parts) for parts in zip(*map(network, x.split(16)), strict=True)]
    depths = len(network.weights)
    off = ~torch.eye(len(x), dtype=torch.bool)
    learned, colours = (
        pairwise(part, part)[off].median() for part in (features[:depths], features[depths:])
    )
    for weight in network.weights:
        weight += ((OTHERS - colours).clamp_min(0.1) / learned).log()


def save(network: PerceptualNetwork, portraits: Sequence[Tensor], path: Path) -> None:
    """Write the calibrated weights as float16."""
    calibrate(network, portraits)
    tensors = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={"format": "realdrag-perceptual"})


def train(
    network: PerceptualNetwork,
    portraits: Sequence[Tensor],
    *,
    steps: int,
    n: int,
    lr: float,
    seed: int,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Train, yielding the step and the running means of what `loss_of` shows."""
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=(0.9, 0.99))
    mean = dict[str, float]()
    for step in range(1, steps + 1):
        part = step / steps
        rate = lr * min(1.0, step / 50) * (0.5 + 0.5 * math.cos(math.pi * part))
        for group in optimizer.param_groups:
            group["lr"] = rate
        # Slight changes drown in bfloat16's rounding: the last part is exact.
        loss, shown = loss_of(network, portraits, n, rng, bfloat16=part < 0.7)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        for key, value in shown.items():
            mean[key] = 0.97 * mean.get(key, value) + 0.03 * value
        yield step, mean


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write the weights as float16."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faces", type=Path, help="folder with aligned/ and index.tsv")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=8, help="portraits a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--held-out", type=int, default=200, help="people kept for measuring")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    portraits = list(read_portraits(args.faces, args.held_out, keep=False).values())
    print(f"{len(portraits)} people", flush=True)
    network = fresh_network(args.seed)
    if args.start is not None:
        network.load_state_dict(load_network(args.start).state_dict())
    steps = train(network, portraits, steps=args.steps, n=args.batch, lr=args.lr, seed=args.seed)
    for step, mean in steps:
        if step % 20 == 0:
            figures = "  ".join(f"{key} {value:.3f}" for key, value in mean.items())
            print(f"{step}  {figures}", flush=True)
        if step % 100 == 0 or step == args.steps:
            save(network, portraits, args.out)


if __name__ == "__main__":
    main()
