"""A joint embedding of pictures and words: a CLIP of open_clip, which is an extra, `text`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.environment import OFFLINE_VARIABLE, downloads_are_off
from stylegan2.text_directions import JointEmbedding


class TextModelUnavailable(Exception):
    """There is no open_clip, or the weights of the model that was asked for cannot be had."""


class ClipEmbedding:
    """A model of open_clip with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, device: str) -> None:
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._device = device
        visual = model.visual
        size = visual.image_size
        self._size = (size, size) if isinstance(size, int) else tuple(size)
        self._mean, self._std = (
            torch.tensor(values, device=device).reshape(1, 3, 1, 1)
            for values in (visual.image_mean, visual.image_std)
        )

    def pictures(self, pictures: Tensor) -> Tensor:
        """Embed pictures [N, 3, H, W] in about [-1, 1]."""
        shown = (pictures.to(self._device).clamp(-1, 1) + 1) / 2
        small = F.interpolate(
            shown, self._size, mode="bicubic", antialias=True, align_corners=False
        )
        found: Tensor = self._model.encode_image((small - self._mean) / self._std)
        return found

    def words(self, texts: Sequence[str]) -> Tensor:
        """Embed texts."""
        found: Tensor = self._model.encode_text(self._tokenizer(list(texts)).to(self._device))
        return found


def load_embedding(model: str, weights: str, device: str) -> JointEmbedding:
    """Load a model of open_clip, by its name and that of its weights, which it downloads.

    Raises TextModelUnavailable.
    """
    try:
        import open_clip
    except ImportError:
        raise TextModelUnavailable(
            "directions for words need open_clip: pip install 'realdrag[text]'"
        ) from None
    known = open_clip.list_pretrained()
    if (model, weights) not in known:
        own = ", ".join(tag for name, tag in known if name == model)
        hint = f"{model} has {own}" if own else "open_clip.list_pretrained() lists them"
        raise TextModelUnavailable(f"open_clip has no {model} with the weights {weights}: {hint}")
    if downloads_are_off():
        raise TextModelUnavailable(
            f"{OFFLINE_VARIABLE} is set, and open_clip asks the network for {model}: unset it for "
            "this command"
        )
    try:
        made, _, _ = open_clip.create_model_and_transforms(model, weights, device=device)
    except (OSError, RuntimeError) as error:
        raise TextModelUnavailable(f"{model} ({weights}) cannot be loaded: {error}") from error
    return ClipEmbedding(made, open_clip.get_tokenizer(model), device)
