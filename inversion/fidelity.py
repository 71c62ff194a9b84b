"""How near one picture is to another, in the measures that papers report."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.perceptual import PerceptualDistance

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales; Wang, Simoncelli and Bovik, 2003."""

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def ms_ssim(a: Tensor, b: Tensor) -> float:
    """Return the multi-scale structural similarity of two pictures [1, C, H, W] in [-1, 1].

    As published (Gaussian window of 11 pixels, sigma 1.5). Pictures too small for five scales
    use as many as fit, their exponents scaled to the same sum.
    """
    # To the CPU first: Apple's GPUs have no float64.
    a, b = (a.cpu().double() + 1) / 2, (b.cpu().double() + 1) / 2
    scales = 1
    while scales < len(MS_SSIM_WEIGHTS) and min(a.shape[2:]) >> scales >= SSIM_WINDOW:
        scales += 1
    weights = torch.tensor(MS_SSIM_WEIGHTS[:scales], dtype=torch.float64)
    weights = weights * (sum(MS_SSIM_WEIGHTS) / weights.sum())
    line = torch.arange(SSIM_WINDOW, dtype=torch.float64) - SSIM_WINDOW // 2
    window = torch.exp(-line.square() / (2 * SSIM_SIGMA**2))
    window = window / window.sum()
    channels = a.shape[1]
    across = window.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1)

    def blur(x: Tensor) -> Tensor:
        x = F.conv2d(x, across, groups=channels)
        return F.conv2d(x, across.transpose(2, 3), groups=channels)

    c1, c2 = 0.01**2, 0.03**2
    result = torch.ones([], dtype=torch.float64)
    for scale in range(scales):
        mean_a, mean_b = blur(a), blur(b)
        var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
        covariance = blur(a * b) - mean_a * mean_b
        structure = (2 * covariance + c2) / (var_a + var_b + c2)
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        value = structure * luminance if scale == scales - 1 else structure
        result = result * value.mean().clamp_min(0) ** weights[scale]
        if scale < scales - 1:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return float(result)


@torch.no_grad()
def fidelity(a: Tensor, b: Tensor, perceptual: PerceptualDistance) -> dict[str, float]:
    """Compare two pictures [1, 3, H, W] in [-1, 1].

    Returns the perceptual distance, l2 (mean squared difference in [-1, 1], as PTI reports it),
    psnr in dB of the 0..255 range (100 for equal pictures), and ms_ssim.
    """
    l2 = float((a - b).square().mean())
    psnr = 100.0 if l2 < 4e-10 else float(10 * torch.log10(torch.tensor(4.0 / l2)))
    return {
        "perceptual": float(perceptual(a, b)[0]),
        "l2": l2,
        "psnr": psnr,
        "ms_ssim": ms_ssim(a, b),
    }
