"""rosinality's generators: {"g_ema": tensors, "latent_avg": mean of w}.

Kernels are [1, out, in, k, k] and not rotated: the up-convolution is a transposed one with the
weights as they are, like NVIDIA's. The mapping network has the learning rate 0.01 in its weights
(the option lr_mlp leaves no trace in a file; 0.01 is assumed) and the gain sqrt(2) in its
activation, like NVIDIA's. Blur buffers are the [1,3,3,1] filter times 4. There is no clamp.
The encoders pSp, e4e and ReStyle carry such a generator as their decoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layouts import (
    MEAN_MEASURED,
    ForeignWeights,
    Stored,
    check_filter,
    load_all,
    noise_layer,
    with_noise,
)

_ROSINALITY_TENSORS = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}


def from_rosinality(stored: Mapping[str, object], latent_avg: object, limit: int) -> ForeignWeights:
    """Read a state dict with rosinality's names, and the mean of w where there is one."""
    if isinstance(latent_avg, Stored):
        stored = {**stored, "latent_avg": latent_avg}
    tensors = {}
    for name, tensor in load_all(stored, limit).items():
        if name.endswith(".kernel"):
            check_filter(name, tensor, gain=4.0)
        else:
            target, ours = _from_rosinality_tensor(name, tensor)
            tensors[target] = ours
    notices = []
    w_avg_missing = "mapping.w_avg" not in tensors
    if w_avg_missing:
        tensors["mapping.w_avg"] = torch.zeros_like(tensors.get("mapping.fc0.bias", torch.zeros(0)))
        notices.append(MEAN_MEASURED)
    if not any(name.endswith("noise_const") for name in tensors):
        rng = torch.Generator().manual_seed(0)
        tensors = with_noise(tensors, lambda *size: torch.randn(*size, generator=rng))
        notices.append("the file holds no noise images; fixed random ones were made")
    return ForeignWeights("rosinality", tensors, None, w_avg_missing, tuple(notices))


def _from_rosinality_tensor(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Translate one tensor's name and shape."""
    if name == "latent_avg":  # pSp and e4e keep it once for every layer: [num_ws, w_dim]
        each_layer = tensor.ndim >= 2 and tensor.numel() > 0
        mean = tensor.reshape(-1, tensor.shape[-1])[0] if each_layer else tensor.reshape(-1)
        return "mapping.w_avg", mean
    if name == "input.input":
        return "synthesis.b4.const", tensor.squeeze(0)
    if found := re.fullmatch(r"style\.([1-9]\d?)\.(weight|bias)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}", tensor
    if found := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        return f"synthesis.{noise_layer(int(found[1]))}.noise_const", tensor.squeeze(0).squeeze(0)
    found = re.fullmatch(r"(conv1|to_rgb1|convs\.\d{1,2}|to_rgbs\.\d)\.(.+)", name)
    what = _ROSINALITY_TENSORS.get(found[2]) if found else None
    if found is None or what is None:
        raise WeightsInvalid(f"the tensor {ascii(name)[:80]} is not one of a StyleGAN2 generator")
    if what == "weight":
        tensor = tensor.squeeze(0)
    elif what == "noise_strength":
        tensor = tensor.reshape(()) if tensor.numel() == 1 else tensor
    elif what == "bias":
        tensor = tensor.reshape(-1)
    group, _, index = found[1].partition(".")
    layer = {
        "conv1": "b4.conv1",
        "to_rgb1": "b4.torgb",
        "convs": noise_layer(int(index or 0) + 1),
        "to_rgbs": f"b{8 << int(index or 0)}.torgb",
    }[group]
    return f"synthesis.{layer}.{what}", tensor
