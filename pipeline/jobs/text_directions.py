"""Directions of styles for words; what styles do to pictures is measured once, and kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.controls.presets import ControlsInvalid
from pipeline.disk.storage import writing
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import NetworkIdentity, identify
from pipeline.progress import Job, Step
from stylegan2.environment import cache_folder

if TYPE_CHECKING:
    from torch import Tensor

    from stylegan2.directions import Direction
    from stylegan2.generator import Generator
    from stylegan2.text_directions import JointEmbedding

FOLDER = "styles"

FEW = 4
"""Pictures in which styles are tried by default: 100 in the paper, on a GPU."""


@dataclass(frozen=True)
class Words:
    """Two texts and what is made of them: a style moves if its cosine to the texts' difference is
    beta or more; the one that answers most goes alpha of its standard deviations at +1.

    samples is in how many pictures every style is tried; model and weights are open_clip's names.
    """

    neutral: str
    target: str
    name: str | None = None
    beta: float = 0.1
    alpha: float = 3.0
    samples: int = FEW
    seed: int = 0
    model: str = "ViT-B-32"
    weights: str = "openai"

    @property
    def called(self) -> str:
        """The direction's name: the one that was given, or the target's words."""
        name = self.name or re.sub(r"\W+", "_", self.target).strip("_").lower()
        if not name or "=" in name:
            raise ControlsInvalid(f"{name!r} is no name for a direction: give --name")
        return name


def text_direction(
    network: str, asked: Words, bench: Bench
) -> Job[tuple[NetworkIdentity, Direction]]:
    """Find the direction of a network's styles for words.

    Raises TextModelUnavailable, DirectionsInvalid, ControlsInvalid.
    """
    from pipeline.machine.joint_embedding import load_embedding
    from stylegan2.directions import Direction, typical_w
    from stylegan2.style_space import style_spreads
    from stylegan2.text_directions import shift_for, text_way

    name = asked.called
    identity = identify(network, bench)
    generator = bench.generator(identity.name, identity.weights)
    embedding = load_embedding(asked.model, asked.weights, bench.device)
    way = text_way(embedding, asked.neutral, asked.target)
    effects = yield from _effects(generator, identity.weights, embedding, asked)
    spreads = style_spreads(generator, typical_w(generator))
    shift, moving = shift_for(effects, way, spreads, asked.beta, asked.alpha)
    about = f"{asked.neutral} to {asked.target}: {moving} of {len(shift)} styles"
    layers = (0, generator.num_ws)
    return identity, Direction(name, shift, layers, about=about, space="styles")


def _effects(
    generator: Generator, network: str, embedding: JointEmbedding, asked: Words
) -> Job[Tensor]:
    """Return the mean effects of all styles [styles, D]; each picture's are kept when measured."""
    import torch
    from safetensors.torch import save

    from stylegan2.style_space import style_sizes
    from stylegan2.text_directions import effects_of_styles
    from stylegan2.whole_file import replacing

    model = re.sub(r"[^\w.-]+", "-", f"{asked.model}-{asked.weights}")
    path = cache_folder() / FOLDER / f"{network[:16]}-{model}-{asked.seed}.safetensors"
    total, done = _kept(path)
    styles = sum(style_sizes(generator))
    while total is None or done < asked.samples:
        parts, measured = [], 0
        for part in effects_of_styles(generator, embedding, done, asked.seed):
            parts.append(part)
            measured += len(part)
            yield Step("styles", done * styles + measured, asked.samples * styles, {})
        found = torch.cat(parts)
        total, done = found if total is None else total + found, done + 1
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                partial.write_bytes(save({"total": total}, metadata={"samples": str(done)}))
    return total / done


def _kept(path: Path) -> tuple[Tensor | None, int]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("total"), int((file.metadata() or {})["samples"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None, 0  # it is only a shortcut, and is measured anew
