"""Train the benchmarks' latent transformer (benchmarks/latent_transformer.py) on a generator.

    python -m tools.train_latent_transformer --out runs/latent_transformer

Pairs of pictures come first: a random face, and the same with its first ws part of the way to
another face's; the dense flow between the two, both ways, says which motion belongs to which
change of ws. Pairs are kept in --out in files, then the transformer learns from them; a checkpoint
is written every --save steps. The same command goes on wherever it was stopped.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.flow import SIZE, Flow, flows_between, from_512
from benchmarks.latent_transformer import (
    Asked,
    LatentTransformer,
    TransformerConfig,
    save_transformer,
)
from drag.sampling import sample, to_feature_xy
from stylegan2.checkpoint import weights_hash
from stylegan2.formats.convert import load_network
from stylegan2.generator import BlockOutput, Generator
from stylegan2.images import to_uint8
from stylegan2.latents import to_ws
from stylegan2.zoo import resolve
from tools.checkpoint import save_state

Pairs = dict[str, Tensor]
"""Samples by name: ws and change [N, moving_ws, w_dim], and features, handles, moves, known."""

TRUNCATION = (0.5, 1.0)
TOWARDS = (0.1, 0.7)
"""Of the way to the other face."""
GRID = 24
"""Places a side at which the flow is read."""
MOST_POINTS = 32
LEAST_PLACES = 8
"""Checked places that a pair must have."""
A_FILE = 100
"""Pairs; each is two samples, one for each way."""
AVERAGE = 0.995


@torch.no_grad()
def draw_pairs(
    generator: Generator, config: TransformerConfig, count: int, rng: torch.Generator
) -> Pairs:
    """Draw pairs and return them as samples, two of each pair."""
    made: list[Pairs] = []
    look = min(128, generator.resolution)
    while len(made) < 2 * count:
        first, second = _two_ws(generator, config, rng)
        outputs = _blocks(generator, torch.cat([first, second]), look)
        image, features = outputs[look].image, outputs[config.features].features
        assert image is not None
        flows = flows_between(to_uint8(image[:1]), to_uint8(image[1:]))
        change = (second - first)[:, : config.moving_ws]
        ways = zip((first, second), flows, (change, -change), features.split(1), strict=True)
        samples = [
            found
            for ws, flow, own, seen in ways
            if (found := _sample(generator, config, ws, flow, own, seen, rng)) is not None
        ]
        if len(samples) == 2:
            made += samples
    return {name: torch.stack([each[name] for each in made]) for name in made[0]}


def _two_ws(
    generator: Generator, config: TransformerConfig, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    psi = _between(TRUNCATION, rng)
    z = torch.randn(2, generator.config.z_dim, generator=rng)
    w = generator.mapping(z, psi)
    first, other = (to_ws(each, generator.num_ws) for each in w.split(1))
    second = first.clone()
    part = slice(0, config.moving_ws)
    second[:, part] = torch.lerp(first[:, part], other[:, part], _between(TOWARDS, rng))
    return first, second


def _blocks(generator: Generator, ws: Tensor, last: int) -> dict[int, BlockOutput]:
    """Run synthesis up to the block of that size, and return what each gave."""
    outputs = {}
    for output in generator.synthesis.run(ws):
        outputs[output.resolution] = output
        if output.resolution == last:
            break
    return outputs


def _between(ends: tuple[float, float], rng: torch.Generator) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(torch.rand((), generator=rng))


def _sample(
    generator: Generator,
    config: TransformerConfig,
    ws: Tensor,
    flow: Flow,
    change: Tensor,
    features: Tensor,
    rng: torch.Generator,
) -> Pairs | None:
    """Read flow and features at places of a grid that pass the flow's check."""
    line = ((np.arange(GRID) + 0.5) * SIZE / GRID).astype(int)
    x, y = (axis.ravel() for axis in np.meshgrid(line, line))
    usable = torch.from_numpy(flow.checked[y, x].nonzero()[0])
    if len(usable) < LEAST_PLACES:
        return None
    chosen = usable[torch.randperm(len(usable), generator=rng)[:MOST_POINTS]].numpy()
    places = np.stack([x[chosen], y[chosen]], axis=1).astype(np.float64)
    size, count = generator.resolution, len(chosen)
    at = torch.from_numpy(from_512(places, size)).float()
    read = sample(features, to_feature_xy(at, size, config.features))

    def filled(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, (0, 0, 0, MOST_POINTS - count))

    return {
        "ws": ws[0, : config.moving_ws],
        "change": change[0],
        "features": filled(read).half(),
        "handles": filled((at + 0.5) / size),
        "moves": filled(torch.from_numpy(flow.moves[y[chosen], x[chosen]]) / SIZE),
        "known": torch.arange(MOST_POINTS) < count,
    }


def draw_batch(pairs: Pairs, size: int, rng: torch.Generator) -> tuple[Asked, Tensor]:
    """Draw samples, each with one to all of its points: few are as frequent as many."""
    chosen = torch.randint(len(pairs["ws"]), (size,), generator=rng)
    batch = {name: values[chosen] for name, values in pairs.items()}
    most = batch["known"].shape[1]
    counts = torch.exp(torch.rand(size, 1, generator=rng) * math.log(most)).round()
    known = batch["known"] & (torch.arange(most) < counts)
    width = int(known.sum(dim=1).max())
    asked = Asked(
        batch["ws"],
        batch["features"][:, :width].float(),
        batch["handles"][:, :width],
        batch["moves"][:, :width],
        known[:, :width],
    )
    return asked, batch["change"]


def loss_of(transformer: LatentTransformer, asked: Asked, change: Tensor) -> Tensor:
    """Squared error of the change of ws; 1 where nothing is changed, on average."""
    error: Tensor = (transformer(asked) - change) / transformer.change_spread
    return error.square().mean()


def all_asked(pairs: Pairs) -> Asked:
    """Return what all samples ask, with all of their points."""
    features = pairs["features"].float()
    return Asked(pairs["ws"], features, pairs["handles"], pairs["moves"], pairs["known"])


@torch.no_grad()
def error_at(transformer: LatentTransformer, pairs: Pairs, points: int) -> float:
    """Return the squared error with that many points, as a part of that without an edit."""
    known = pairs["known"] & (torch.arange(pairs["known"].shape[1]) < points)
    asked = replace(all_asked(pairs), known=known)
    own = float(loss_of(transformer, asked, pairs["change"]))
    return own / float((pairs["change"] / transformer.change_spread).square().mean())


class Training:
    """A transformer, its optimizer, and the average of its weights, which is what is kept."""

    def __init__(self, config: TransformerConfig, pairs: Pairs, rate: float, steps: int) -> None:
        self.network, self.average = LatentTransformer(config), LatentTransformer(config)
        self.network.measure_spread(all_asked(pairs), pairs["change"])
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=0.05)
        self.pairs, self.rate, self.steps, self.step = pairs, rate, steps, 0

    def learn(self, batch: int, seed: int) -> float:
        """Take one step and return its loss; what it draws depends on seed and step only."""
        rng = torch.Generator().manual_seed(seed * 1_000_003 + self.step)
        self.step += 1
        part = self.step / self.steps
        rise = min(1.0, self.step / 100)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rise * (0.5 + 0.5 * math.cos(math.pi * min(part, 1.0)))
        loss = loss_of(self.network, *draw_batch(self.pairs, batch, rng))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        keep = min(AVERAGE, self.step / (self.step + 10))
        with torch.no_grad():
            both = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mine, theirs in both:
                mine.lerp_(theirs, 1 - keep)
        return float(loss.detach())

    def state(self) -> dict[str, object]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }

    def go_on(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def gather(
    generator: Generator,
    config: TransformerConfig,
    args: argparse.Namespace,
    say: Callable[[str], None],
) -> Pairs:
    """Draw what pairs are missing in --out, and read all of them."""
    files = []
    for number in range(math.ceil(args.pairs / A_FILE)):
        path = args.out / f"pairs-{number:04d}.pt"
        if not path.exists():
            rng = torch.Generator().manual_seed(args.seed * 100_003 + number)
            save_state(draw_pairs(generator, config, min(A_FILE, args.pairs), rng), path)
            say(f"{path.name}: {(number + 1) * A_FILE} of {args.pairs} pairs")
        files.append(torch.load(path, weights_only=True))
    return {name: torch.cat([each[name] for each in files]) for name in files[0]}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for pairs and weights")
    parser.add_argument("--network", default="embedded", help="a name of the zoo, or a file")
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--features", type=int, default=32, help="side of the block that is read")
    parser.add_argument("--save", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    generator = load_network(resolve(args.network), "cpu").eval().requires_grad_(False)
    sizes = generator.config
    channels = dict(zip(sizes.block_resolutions, sizes.channels, strict=True))
    if args.features not in channels:
        parser.error(f"--features must be one of {', '.join(map(str, channels))}")
    config = TransformerConfig(sizes.w_dim, channels[args.features], args.features)
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {line}", flush=True)

    pairs = gather(generator, config, args, say)
    # Whole pairs: of one pair both ways are held out.
    held = max(2, min(2 * A_FILE, len(pairs["ws"]) // 20 * 2))
    held_out = {name: values[-held:] for name, values in pairs.items()}
    learnt = {name: values[:-held] for name, values in pairs.items()}
    training = Training(config, learnt, args.rate, args.steps)
    checkpoint = args.out / "state.pt"
    if checkpoint.exists():
        training.go_on(checkpoint)
    hashed, mean = weights_hash(generator), 1.0
    while training.step < args.steps:
        mean = 0.98 * mean + 0.02 * training.learn(args.batch, args.seed)
        if training.step % args.save == 0 or training.step == args.steps:
            save_state(training.state(), checkpoint)
            save_transformer(training.average, hashed, args.out / "latent_transformer.safetensors")
            errors = (error_at(training.average, held_out, count) for count in (1, 5, 32))
            shown = ", ".join(f"{error:.3f}" for error in errors)
            say(
                f"{training.step}/{args.steps}  loss {mean:.3f}, held out (1, 5, 32 points) {shown}"
            )


if __name__ == "__main__":
    main()
