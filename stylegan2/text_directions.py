"""Directions of styles for words: StyleCLIP's global directions (Patashnik et al., 2021).

arXiv 2103.17249, section 6, written from the paper. A joint embedding of pictures and words says
which styles change a picture as one text differs from another: the styles whose mean effect has a
cosine of beta and more to the texts' difference move, each by that cosine and by how far it
varies. The sentences around the words are ours. No such embedding is loaded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.directions import DirectionsInvalid, typical_w
from stylegan2.generator import BlockOutput, Generator
from stylegan2.latents import sample_w, to_ws
from stylegan2.style_space import style_shifted, style_sizes, style_spreads

PERTURBATION = 5.0
"""Styles are tried at so many standard deviations to either side, as in the paper."""

TRUNCATION_PSI = 0.7
"""Of the pictures whose styles are tried."""

BATCH = 16
"""Pairs of pictures that are embedded at once."""

SENTENCES = (
    "a photo of {}", "a portrait of {}", "a close photo of {}", "a good photo of {}",
    "a blurred photo of {}", "a dark photo of {}", "a bright photo of {}", "a small picture of {}",
)  # fmt: skip
"""The words are embedded within each of these; the mean counts."""


class JointEmbedding(Protocol):
    """Pictures and words in one space: both give [N, D], of any length."""

    def pictures(self, pictures: Tensor) -> Tensor:
        """Embed pictures [N, 3, H, W] in about [-1, 1]."""

    def words(self, texts: Sequence[str]) -> Tensor:
        """Embed texts."""


@torch.no_grad()
def effects_of_styles(
    generator: Generator, embedding: JointEmbedding, sample: int, seed: int
) -> Iterator[Tensor]:
    """Yield what styles do to one sampled picture: parts of [styles, D], in the styles' order.

    The difference of the embeddings, each of length 1, at `PERTURBATION` standard deviations above
    and below. Blocks before the style's own are rendered once.
    """
    spreads = style_spreads(generator, typical_w(generator))
    ws = to_ws(sample_w(generator, sample + 1, seed, TRUNCATION_PSI)[-1:], generator.num_ws)
    before: list[BlockOutput | None] = [None, *generator.synthesis.run(ws)]
    counted = 0
    pairs: list[Tensor] = []
    for layer, size in enumerate(style_sizes(generator)):
        start = before[(layer + 1) // 2]
        for channel in range(size):
            step = PERTURBATION * float(spreads[counted])
            counted += 1
            for amount in (step, -step):
                with style_shifted(generator, layer, channel, amount):
                    *_, last = generator.synthesis.run(ws, start=start)
                assert last.image is not None
                pairs.append(last.image)
            if len(pairs) == 2 * BATCH:
                yield _differences(embedding, pairs)
                pairs = []
    if pairs:
        yield _differences(embedding, pairs)


@torch.no_grad()
def text_way(embedding: JointEmbedding, neutral: str, target: str) -> Tensor:
    """Return the way [D], of length 1, from one text to another. Raises DirectionsInvalid."""
    ends = []
    for words in (neutral, target):
        sentences = [sentence.format(words) for sentence in SENTENCES]
        mean = F.normalize(embedding.words(sentences).float().cpu(), dim=1).mean(dim=0)
        ends.append(F.normalize(mean, dim=0))
    way = ends[1] - ends[0]
    if float(way.norm()) < 1e-6:
        raise DirectionsInvalid(f"{neutral!r} and {target!r} mean the same: say what is to change")
    return F.normalize(way, dim=0)


def shift_for(
    effects: Tensor, way: Tensor, spreads: Tensor, beta: float, alpha: float
) -> tuple[Tensor, int]:
    """Return the shift [styles] for a way of the embedding [D], and how many styles move.

    effects [styles, D] are the mean effects of the styles, spreads [styles] how far they vary. The
    style that answers most goes alpha standard deviations. Raises DirectionsInvalid where none
    answers by beta.
    """
    relevance = F.normalize(effects, dim=1) @ way
    most = float(relevance.abs().max())
    if most < beta or most == 0:
        raise DirectionsInvalid(
            f"no style answers to these words by {beta:g}; the one that answers most does by "
            f"{most:.3f}: give a smaller beta"
        )
    chosen = torch.where(relevance.abs() < beta, 0.0, relevance)
    return alpha * chosen / most * spreads, int((chosen != 0).sum())


def _differences(embedding: JointEmbedding, pairs: Sequence[Tensor]) -> Tensor:
    found = F.normalize(embedding.pictures(torch.cat(list(pairs))).float().cpu(), dim=1)
    return found[0::2] - found[1::2]
