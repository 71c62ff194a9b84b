"""Give a generator a mapping network whose w are distributed as an encoder's, in closed form.

Training moves the mapping towards the encoder's latents, but a few thousand pictures do not teach
it what goes with what. A normal distribution with the latents' mean and covariance samples better
faces, and a mapping network can be one exactly: as long as every layer's input stays positive,
leaky ReLU is linear. For that W is shifted, and the layers that read it take the shift back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inversion.encoder_networks import DeltaEncoder, Encoder
from stylegan2.generator import Generator
from stylegan2.layers import SynthesisLayer, ToRGBLayer
from stylegan2.ops import LRELU_GAIN, FullyConnected

SPREAD = 15.0
"""Root of the summed variances of w. Training leaves it free, but steps of projection and
locality's distance are lengths in W: their settings were found with this."""

SIGMAS = 4.0
"""How many standard deviations stay on the positive side of leaky ReLU."""


@torch.no_grad()
def fit_mapping(
    generator: Generator, encoder: Encoder, latents: Tensor, delta: DeltaEncoder | None = None
) -> None:
    """Make w = mapping(z) normal like latents [N, w_dim], in place; pictures stay the same.

    W is scaled to have SPREAD, and shifted; the encoders and every affine layer are changed along,
    so that encoders and synthesis still belong together. z_dim must be w_dim. Raises ValueError
    when it is not.
    """
    config = generator.config
    if config.z_dim != config.w_dim:
        raise ValueError(f"z_dim {config.z_dim} must equal w_dim {config.w_dim}")
    size, layers = config.w_dim, config.mapping_layers
    scale = SPREAD / float(latents.var(dim=0).sum().sqrt())
    latents = latents * scale
    mean, covariance = latents.mean(dim=0), torch.cov(latents.t())
    root = torch.linalg.cholesky(covariance.double() + 1e-5 * torch.eye(size)).float()
    shift = SIGMAS * covariance.diagonal().sqrt()
    offset = torch.full((size,), SIGMAS)
    for i in range(layers):
        last = i == layers - 1
        # Each layer multiplies by its gain; only the last one mixes.
        factor = root if last else torch.eye(size)
        bias = shift - root @ offset if last else (offset if i == 0 else torch.zeros(size))
        _set(generator.mapping.get_submodule(f"fc{i}"), factor / LRELU_GAIN, bias / LRELU_GAIN)
    generator.mapping.w_avg.copy_(shift)
    moved = shift - mean
    for module in generator.synthesis.modules():
        if isinstance(module, (SynthesisLayer, ToRGBLayer)):
            affine = module.affine
            # As it will be stored: the shift is large beside what float16 rounds away.
            affine.weight.copy_((affine.weight / scale).half().float())
            affine.bias.sub_((affine.weight * affine.weight_gain) @ moved / affine.bias_gain)
    encoder.out.weight.mul_(scale)
    encoder.out.bias.mul_(scale).add_(moved / encoder.out.bias_gain)
    if delta is not None:
        delta.out.weight.mul_(scale)
        delta.out.bias.mul_(scale)


def _set(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    assert isinstance(layer, FullyConnected)
    layer.weight.copy_(weight / layer.weight_gain)
    layer.bias.copy_(bias / layer.bias_gain)


@torch.no_grad()
def encode_all(encoder: Encoder, images: Tensor) -> Tensor:
    """Encode uint8 pictures [N, 3, R, R] and their mirror images: [2 N, w_dim]."""
    found = []
    for chunk in images.split(64):
        real = chunk.float() / 127.5 - 1
        found.append(encoder(torch.cat([real, real.flip(3)])))
    return torch.cat(found)
