"""A baseline of one pass: a transformer that says from motion vectors how the ws change.

After UserControllableLT (Endo, "User-Controllable Latent Transformer for StyleGAN Image Layout
Editing", 2022, arXiv 2208.12408), by its main idea: tokens for the points, made of features and
motion vectors, beside tokens for the ws of the first layers. Sizes and losses are ours.
tools/train_latent_transformer.py trains it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.methods import DragResult, Method
from drag.masks import keep_outside
from drag.points import DragPoint
from drag.sampling import sample, to_feature_xy
from drag.session import StopReason
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.partial import features_at

NAME = "UserControllableLT"

TRANSFORMER_EXPLAINED = (
    f"*{NAME}* follows its paper in the main and is trained on this network with few pairs on a "
    "CPU (tools/README.md), so it is no measure of the published one. It edits in one pass and "
    "does not say where the handles have come."
)

WAVES = 4
"""Frequencies of sine and cosine by which a token knows its place."""


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes: of the network it is for, and its own. features is the side of the block read."""

    w_dim: int
    channels: int
    features: int
    moving_ws: int = 6
    width: int = 128
    heads: int = 4
    layers: int = 3


class TransformerInvalid(Exception):
    """Weights of a transformer that cannot be used. The message says why."""


@dataclass(frozen=True)
class Asked:
    """What a transformer is asked, N drags of up to P points at once.

    ws [N, moving_ws, w_dim]; features [N, P, channels] at the handles; handles and moves
    [N, P, 2], xy in sides of the picture; known bool [N, P], False where there is no point.
    """

    ws: Tensor
    features: Tensor
    handles: Tensor
    moves: Tensor
    known: Tensor


class LatentTransformer(nn.Module):
    """Tokens of points and of ws -> change of the ws [N, moving_ws, w_dim]."""

    ws_mean: Tensor
    ws_spread: Tensor
    features_mean: Tensor
    features_spread: Tensor
    moves_spread: Tensor
    change_spread: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        for name, size in (("ws", config.w_dim), ("features", config.channels)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_spread", torch.ones(size))
        self.register_buffer("moves_spread", torch.ones(()))
        self.register_buffer("change_spread", torch.ones(config.w_dim))
        self.from_point = nn.Linear(config.channels + 2 + 4 * WAVES, width)
        self.from_w = nn.Linear(config.w_dim, width)
        self.layer = nn.Parameter(torch.randn(config.moving_ws, width) / math.sqrt(width))
        block = nn.TransformerEncoderLayer(
            width, config.heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.to_change = nn.Linear(width, config.w_dim)
        nn.init.zeros_(self.to_change.weight)
        nn.init.zeros_(self.to_change.bias)

    @torch.no_grad()
    def measure_spread(self, asked: Asked, change: Tensor) -> None:
        """Take from samples what inputs and outputs are divided by."""
        known = asked.features[asked.known]
        self.ws_mean.copy_(asked.ws.mean(dim=(0, 1)))
        self.ws_spread.copy_(asked.ws.std(dim=(0, 1)) + 1e-6)
        self.features_mean.copy_(known.mean(dim=0))
        self.features_spread.copy_(known.std(dim=0) + 1e-6)
        self.moves_spread.copy_(asked.moves[asked.known].square().mean().sqrt() + 1e-6)
        self.change_spread.copy_(change.square().mean(dim=(0, 1)).sqrt() + 1e-6)

    def forward(self, asked: Asked) -> Tensor:
        """Say how far the ws of the first layers go."""
        turns = (
            asked.handles[..., None]
            * math.pi
            * 2.0 ** torch.arange(WAVES, device=asked.handles.device)
        )
        place = torch.cat([turns.sin(), turns.cos()], dim=-1).flatten(2)
        features = (asked.features - self.features_mean) / self.features_spread
        points = torch.cat([features, asked.moves / self.moves_spread, place], dim=2)
        ws = (asked.ws - self.ws_mean) / self.ws_spread
        tokens = torch.cat([self.from_w(ws) + self.layer, self.from_point(points)], dim=1)
        count = ws.shape[1]
        empty = nn.functional.pad(~asked.known, (count, 0), value=False)
        seen = self.blocks(tokens, src_key_padding_mask=empty)[:, :count]
        change: Tensor = self.to_change(self.norm(seen)) * self.change_spread
        return change


def save_transformer(transformer: LatentTransformer, generator_hash: str, path: Path) -> None:
    """Write weights, with their sizes and the hash of the generator they are for."""
    facts = {"config": json.dumps(asdict(transformer.config)), "generator": generator_hash}
    tensors = {name: value.contiguous() for name, value in transformer.state_dict().items()}
    part = path.with_suffix(".part")
    save_file(tensors, part, metadata=facts)
    part.replace(path)


def load_transformer(path: Path, generator: Generator) -> LatentTransformer:
    """Read what `save_transformer` wrote. Raises TransformerInvalid."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
        config = TransformerConfig(**json.loads(facts["config"]))
        made_for = facts["generator"]
        transformer = LatentTransformer(config)
        transformer.load_state_dict(load_file(path))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TransformerInvalid(
            f"{path} holds no transformer ({error}): make it with "
            "python -m tools.train_latent_transformer"
        ) from error
    if made_for != weights_hash(generator):
        raise TransformerInvalid(f"{path} was trained on another network: train it on this one")
    return transformer.eval().requires_grad_(False).to(generator.mapping.w_avg.device)


@torch.no_grad()
def by_transformer(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    points: Sequence[DragPoint],
    movable_mask: Tensor | None,
    *,
    transformer: LatentTransformer,
) -> DragResult:
    """Edit in one pass; of a mask it knows nothing, so what that keeps is put back.

    It does not say where the handles have come: they are NaN.
    """
    started = time.perf_counter()
    config, size = transformer.config, generator.resolution
    ends = ws.new_tensor([[point.handle, point.target] for point in points])
    features = features_at(generator, ws, noise_consts, config.features).features
    places = (ends + 0.5) / size
    moving = ws[:, : config.moving_ws]
    asked = Asked(
        moving,
        sample(features, to_feature_xy(ends[None, :, 0], size, config.features)),
        places[None, :, 0],
        (places[:, 1] - places[:, 0])[None],
        torch.ones(1, len(points), dtype=torch.bool, device=ws.device),
    )
    made = ws.clone()
    made[:, : config.moving_ws] += transformer(asked)
    picture = generator.synthesis(made, noise_consts)
    if movable_mask is not None:
        picture = keep_outside(picture, generator.synthesis(ws, noise_consts), movable_mask)
    unknown = ((math.nan, math.nan),) * len(points)
    seconds = time.perf_counter() - started
    return DragResult(made, picture, unknown, 1, StopReason.STEP_LIMIT.value, seconds)


def with_transformer(
    methods: Mapping[str, Method], path: Path | None, generator: Generator
) -> dict[str, Method]:
    """Add the transformer as a row where there are weights of one. Raises TransformerInvalid."""
    if path is None:
        return dict(methods)
    transformer = load_transformer(path, generator)
    return {**methods, NAME: partial(by_transformer, transformer=transformer)}


def sample_name(method: str, path: Path | None) -> str:
    """Name a kept sample of a method: the transformer's with the hash of its weights."""
    if method != NAME or path is None:
        return method
    return f"{method} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
