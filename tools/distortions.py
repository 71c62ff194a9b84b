"""Known changes to pictures, of every strength: what a perceptual distance is taught and tried on.

Pictures are [N, 3, S, S] in [-1, 1]; strengths [N] are in 0..1 of what is drawn in training. The
same seed gives the same random field at every strength.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Distortion = Callable[[Tensor, Tensor, torch.Generator], Tensor]

FEATURES = ((0.38, 0.48), (0.62, 0.48), (0.5, 0.61), (0.5, 0.73))
"""Where eyes, nose and mouth lie in an aligned face, in shares of its side."""


def column(values: Tensor) -> Tensor:
    """Give one value a picture the shape that pictures are multiplied by."""
    return values[:, None, None, None]


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared difference [N]."""
    return (a - b).square().mean(dim=(1, 2, 3))


def _normal(x: Tensor, rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(x.shape[0], *shape, generator=rng)


# ---------------------------------------------------------------------------------------------
# Light and colour


def brightness(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Add the same to all pixels, up to a quarter of the range."""
    return x + column(0.5 * strength) * _normal(x, rng, 1, 1, 1).sign()


def contrast(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Stretch or compress about the mean colour, to a half or to one and a half."""
    mean = x.mean(dim=(2, 3), keepdim=True)
    return mean + (x - mean) * (1 + column(0.5 * strength) * _normal(x, rng, 1, 1, 1).sign())


def tint(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Shift the colours of all pixels the same way, keeping their lightness."""
    way = _normal(x, rng, 3, 1, 1)
    way = way - way.mean(dim=1, keepdim=True)
    way = way / way.square().mean(dim=1, keepdim=True).sqrt()
    return x + column(0.4 * strength) * way


# ---------------------------------------------------------------------------------------------
# Place and shape


def _sampled(x: Tensor, moved: Tensor) -> Tensor:
    """Sample at each position plus `moved` [N, S, S, 2], in pixels."""
    size = x.shape[-1]
    line = torch.arange(size) + 0.5
    y, u = torch.meshgrid(line, line, indexing="ij")
    grid = (torch.stack([u, y], dim=-1) + moved) * (2 / size) - 1
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def _about_centre(x: Tensor) -> Tensor:
    line = torch.arange(x.shape[-1]) + 0.5 - x.shape[-1] / 2
    y, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, y], dim=-1)


def shift(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Move the picture up to three pixels, by whole ones along a row or column."""
    way = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    chosen = way[torch.randint(4, (x.shape[0],), generator=rng)]
    pixels = (3 * strength).round().clamp_min(1) * (strength > 0)
    return _sampled(x, (chosen * pixels[:, None])[:, None, None])


def rotation(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Turn the picture up to four degrees."""
    angle = math.radians(4) * strength * _normal(x, rng).sign()
    c, s = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    place = _about_centre(x)
    return _sampled(x, torch.einsum("nij,yxj->nyxi", turn, place) - place)


def scale(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Enlarge or reduce the picture by up to six per cent."""
    factor = (0.06 * strength * _normal(x, rng).sign()).exp() - 1
    return _sampled(x, factor[:, None, None, None] * _about_centre(x))


def warp(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Bend the picture smoothly, by about two pixels."""
    field = F.interpolate(_normal(x, rng, 2, 5, 5), size=x.shape[-2:], mode="bicubic")
    return _sampled(x, (column(2.2 * strength) * field).permute(0, 2, 3, 1))


# ---------------------------------------------------------------------------------------------
# Noise


def noise(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Add white noise to every channel, up to a standard deviation of 38 of 255."""
    return x + column(0.3 * strength) * _normal(x, rng, *x.shape[1:])


def grain(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Add the same white noise to all channels."""
    return x + column(0.3 * strength) * _normal(x, rng, 1, *x.shape[2:])


def checks(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Add the checkerboard that upsampling layers leave, stronger in some places."""
    line = torch.arange(x.shape[-1])
    board = ((line[:, None] + line[None]) % 2 * 2 - 1).to(x.dtype)
    place = F.interpolate(_normal(x, rng, 1, 4, 4), size=x.shape[-2:], mode="bicubic")
    return x + column(0.3 * strength) * board * place


# ---------------------------------------------------------------------------------------------
# Lost and false detail


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture with its own sigma, in pixels."""
    n, channels, _, _ = x.shape
    reach = max(1, math.ceil(3 * float(sigma.max())))
    reach = min(reach, x.shape[-1] - 1)
    line = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-line.square() / (2 * sigma.clamp_min(1e-3).square()[:, None]))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = F.pad(x, (reach,) * 4, mode="reflect").flatten(0, 1)[None]
    flat = F.conv2d(flat, kernel[:, None, None], groups=n * channels)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=n * channels)
    return flat[0].view_as(x)


def blur(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Blur with a sigma of up to five pixels."""
    return gaussian_blur(x, 5 * strength)


def pixelation(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Replace squares of two to eight pixels by their mean."""
    side = 2 ** int((1 + 2 * strength.mean()).round())
    mean = F.avg_pool2d(x, side)
    return x.lerp(F.interpolate(mean, scale_factor=side), column((2 * strength).clamp(0, 1)))


_LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""Table K.1 of ITU-T T.81."""


def blocks(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Quantise 8x8 cosine coefficients as JPEG does, colours twice as coarsely."""
    to_ycc = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    k = torch.arange(8)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    n, _, high, wide = x.shape
    cells = torch.einsum("ij,njyx->niyx", to_ycc, x * 127.5)
    cells = cells.reshape(n, 3, high // 8, 8, wide // 8, 8).transpose(3, 4)
    coefficients = basis @ cells @ basis.T
    table = _LUMINANCE * torch.tensor([1.0, 2.0, 2.0])[:, None, None]
    step = (table * (0.2 * (40 * strength).pow(0.9))[:, None, None, None]).clamp_min(1)
    coefficients = (coefficients / step[:, :, None, None]).round() * step[:, :, None, None]
    cells = (basis.T @ coefficients @ basis).transpose(3, 4).reshape(n, 3, high, wide)
    return torch.einsum("ij,njyx->niyx", to_ycc.inverse(), cells) / 127.5


def missing(x: Tensor, strength: Tensor, rng: torch.Generator) -> Tensor:
    """Cover an eye, the nose or the mouth with the colours around it."""
    n, size = x.shape[0], x.shape[-1]
    place = torch.tensor(FEATURES)[torch.randint(len(FEATURES), (n,), generator=rng)] * size
    place = place - size / 2
    away = (_about_centre(x) - place[:, None, None]) / (size * torch.tensor([0.13, 0.085]))
    near = torch.sigmoid(8 * (1 - away.square().sum(dim=-1).sqrt()))[:, None]
    skin = gaussian_blur(x, torch.full((n,), 0.09 * size))
    return x.lerp(skin, near * column(strength))


COLOURS: dict[str, Distortion] = {"brightness": brightness, "contrast": contrast, "tint": tint}
PLACES: dict[str, Distortion] = {
    "shift": shift,
    "rotation": rotation,
    "scale": scale,
    "warp": warp,
}
NOISES: dict[str, Distortion] = {"noise": noise, "grain": grain}
PATTERNS: dict[str, Distortion] = {"checks": checks}
LOSSES: dict[str, Distortion] = {"blur": blur, "pixelation": pixelation, "blocks": blocks}
HOLES: dict[str, Distortion] = {"missing": missing}
EVERY: dict[str, Distortion] = COLOURS | PLACES | NOISES | PATTERNS | LOSSES | HOLES


def at_mse(
    distort: Distortion, x: Tensor, wanted: Tensor, seed: int, most: float = 4.0, rounds: int = 11
) -> tuple[Tensor, Tensor]:
    """Distort each picture to a mean squared error, by bisection; returns it and its error."""
    low, high = torch.zeros_like(wanted), torch.full_like(wanted, most)
    for _ in range(rounds):
        middle = (low + high) / 2
        reached = mse(distort(x, middle, torch.Generator().manual_seed(seed)), x)
        low, high = (
            torch.where(reached < wanted, middle, low),
            torch.where(reached < wanted, high, middle),
        )
    y = distort(x, low, torch.Generator().manual_seed(seed))
    return y, mse(y, x)
