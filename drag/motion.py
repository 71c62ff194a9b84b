"""Motion supervision and the mask term (DragGAN, arXiv 2305.10973, section 3.2, equation 1).

The paper writes sums. We take means, as DragGAN's released code does, because lambda = 20 was
chosen with them: per handle the mean over the patch and the channels, added up over the handles;
for the mask the mean over the channels and the whole feature map. The overall scale means
nothing to Adam, the balance of the two does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from drag.sampling import sample


def directions(handles: Tensor, targets: Tensor, length: float, tolerance: float) -> Tensor:
    """Return the vectors d_i [P, 2]: `length` long, from handles to targets [P, 2].

    Zero for a handle within `tolerance` of its target: it rests, as in DragGAN's released code,
    and pulls again when the others drag it away. All in feature pixels.
    """
    way = targets - handles
    distance = way.norm(dim=1, keepdim=True)
    unit = way / distance.clamp_min(torch.finfo(way.dtype).tiny)
    return torch.where(distance > tolerance, unit * length, torch.zeros_like(way))


def motion_loss(features: Tensor, handles: Tensor, towards: Tensor, patch: Tensor) -> Tensor:
    """Compare the patch around each handle with the place it shall move to.

    features [1, C, h, w]; handles and towards (the d_i) [P, 2] and patch [K, 2] in feature
    pixels. Differentiable with respect to features at the moved positions only: the source is
    detached, so that the content moves along d_i and not back. A handle with d_i = 0 adds
    neither loss nor gradient.
    """
    places = handles[:, None] + patch
    source = sample(features.detach(), places)
    moved = sample(features, places + towards[:, None])
    return (source - moved).abs().mean(dim=(1, 2)).sum()


def mask_loss(features: Tensor, first_features: Tensor, kept: Tensor) -> Tensor:
    """Compare features with the first ones [1, C, h, w] where they are kept ([h, w] in 0..1)."""
    return ((features - first_features).abs() * kept).mean()


def kept_share(movable_mask: Tensor, feature_size: int) -> Tensor:
    """Turn a bool movable_mask [H, W] into the share [h, w] of each feature pixel that is kept."""
    kept = (~movable_mask).float()[None, None]
    return F.avg_pool2d(kept, max(movable_mask.shape) // feature_size)[0, 0]
