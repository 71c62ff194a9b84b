"""Pictures as arrays and as tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stylegan2.arrays import UInt8Image


def to_tensor(image: UInt8Image, device: torch.device | str = "cpu") -> Tensor:
    """Turn uint8 [H, W, 3] into float32 [1, 3, H, W] in [-1, 1]."""
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(f"image must be uint8 [H, W, C], got {image.dtype} {image.shape}")
    tensor = torch.from_numpy(np.ascontiguousarray(image)).to(device)
    return tensor.permute(2, 0, 1)[None].float() / 127.5 - 1.0


def to_uint8(image: Tensor) -> UInt8Image:
    """Turn float [1, 3, H, W] or [3, H, W] in [-1, 1] into uint8 [H, W, 3], rounding to nearest."""
    if image.ndim == 4:
        if image.shape[0] != 1:
            raise ValueError(f"one picture expected, got {tuple(image.shape)}")
        image = image[0]
    pixels = (image.detach().float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    array: UInt8Image = pixels.permute(1, 2, 0).cpu().numpy()
    return array
