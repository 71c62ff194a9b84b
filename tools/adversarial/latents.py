"""Where the w of samples come from: a bank of what the encoder says of photos now."""

from __future__ import annotations

import torch
from torch import Tensor

from inversion.encoder_networks import Encoder
from tools.adversarial.pictures import Pictures


class LatentBank:
    """The encoder's latents of some photos [size, w_dim]; a part is encoded anew at every refresh.

    A mapping network that learns against the heads shrinks to one face within minutes. Samples are
    normal like the latents instead; and like those of now: the encoder's mean wanders quickly, and
    a mean that lags behind leaves samples pale and soft.
    """

    def __init__(self, size: int, fresh: int, w_dim: int, device: torch.device) -> None:
        if size % fresh:
            raise ValueError(f"a bank of {size} is not renewed in whole steps of {fresh}")
        self.fresh = fresh
        self.latents = torch.zeros(size, w_dim, device=device)

    @torch.no_grad()
    def refresh(self, encoder: Encoder, pictures: Pictures, rng: torch.Generator) -> None:
        """Encode some more pictures; the oldest latents go."""
        index = self.uniform(pictures, rng)
        found = encoder(pictures.small[index].float() / 127.5 - 1)
        self.latents.copy_(torch.cat([self.latents[self.fresh :], found]))

    def uniform(self, pictures: Pictures, rng: torch.Generator) -> Tensor:
        """Draw pictures, each as often as any other: what is rare is sampled rarely."""
        device = self.latents.device
        return torch.randint(len(pictures), (self.fresh,), generator=rng, device=device)

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw w [n, w_dim], normal with the bank's mean and covariance: a random mix of it."""
        mean = self.latents.mean(dim=0)
        mix = torch.randn(n, len(self.latents), generator=rng, device=self.latents.device)
        w: Tensor = mean + mix @ (self.latents - mean) * len(self.latents) ** -0.5
        return w

    def variance(self) -> Tensor:
        """Return the variance of each component [w_dim]."""
        return self.latents.var(dim=0)


def mixed(
    w: Tensor, other: Tensor, num_ws: int, probability: float, rng: torch.Generator
) -> Tensor:
    """Repeat w [N, w_dim] for every layer; some take the layers from a random one on of `other`.

    Style mixing (Karras et al., 2019, arXiv 1812.04948, section 3.1): ws [N, num_ws, w_dim].
    """
    device, n = w.device, len(w)
    cut = torch.randint(1, num_ws, (n, 1, 1), generator=rng, device=device)
    chosen = torch.rand(n, 1, 1, generator=rng, device=device) < probability
    late = torch.arange(num_ws, device=device)[None, :, None] >= cut
    return torch.where(chosen & late, other[:, None], w[:, None])
