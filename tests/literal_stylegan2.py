"""StyleGAN2 written out literally, slowly, one sample at a time: what the fast code is held to.

From the equations of Karras et al. 2020 (arXiv 1912.04958), sections 2.2 and 4, and figures 2 and
7; shares no code with `stylegan2`. Tensors come from a dictionary under NVIDIA's names. Everything
works in the dtype it is given (float64 in the tests) and can be differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Full convolution of one plane set x [in, H, W] with kernel [out, in, k, k].

    out[o, n, m] = sum over i, a, b of x[i, n - a, m - b] kernel[o, i, a, b]; grows by k - 1.
    """
    size = kernel.shape[2]
    height, width = x.shape[1] + size - 1, x.shape[2] + size - 1
    total = torch.zeros(kernel.shape[0], height, width, dtype=x.dtype)
    for a in range(size):
        for b in range(size):
            term = torch.einsum("oi,ihw->ohw", kernel[:, :, a, b], x)
            total = total + place(term, a, b, height, width)
    return total


def correlate(x: Tensor, kernel: Tensor) -> Tensor:
    """Full correlation: `convolve` with the kernel turned by 180 degrees."""
    turned = torch.zeros_like(kernel)
    size = kernel.shape[2]
    for a in range(size):
        for b in range(size):
            turned[:, :, size - 1 - a, size - 1 - b] = kernel[:, :, a, b]
    return convolve(x, turned)


def place(x: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Put x [C, h, w] into zeros [C, height, width] at (top, left)."""
    rows = [
        torch.zeros(x.shape[0], top, x.shape[2], dtype=x.dtype),
        x,
        torch.zeros(x.shape[0], height - top - x.shape[1], x.shape[2], dtype=x.dtype),
    ]
    tall = torch.cat(rows, dim=1)
    columns = [
        torch.zeros(x.shape[0], height, left, dtype=x.dtype),
        tall,
        torch.zeros(x.shape[0], height, width - left - x.shape[2], dtype=x.dtype),
    ]
    return torch.cat(columns, dim=2)


def insert_zeros(x: Tensor) -> Tensor:
    """Put one zero between neighbours: [C, H, W] -> [C, 2H - 1, 2W - 1]."""
    rows = []
    for i in range(x.shape[1]):
        columns = []
        for j in range(x.shape[2]):
            columns.append(x[:, i, j])
            columns.append(torch.zeros_like(x[:, i, j]))
        rows.append(torch.stack(columns[:-1], dim=1))
        rows.append(torch.zeros_like(rows[-1]))
    return torch.stack(rows[:-1], dim=1)


def low_pass(x: Tensor) -> Tensor:
    """Full convolution of every plane with the separable filter [1, 3, 3, 1] / 8."""
    channels = x.shape[0]
    kernel = torch.zeros(channels, channels, 4, 4, dtype=x.dtype)
    for c in range(channels):
        for a in range(4):
            for b in range(4):
                kernel[c, c, a, b] = TAPS[a] * TAPS[b]
    return convolve(x, kernel)


def upsample(x: Tensor) -> Tensor:
    """Double x [C, H, W]: zeros between, low-pass, times 4 for brightness, the middle kept."""
    full = 4 * low_pass(insert_zeros(x))
    return full[:, 1 : 1 + 2 * x.shape[1], 1 : 1 + 2 * x.shape[2]]


def modulate(weight: Tensor, style: Tensor, demodulate: bool) -> Tensor:
    """Equations 1 and 3 for one sample: weight [out, in, k, k], style [in]."""
    outputs = []
    for o in range(weight.shape[0]):
        scaled = torch.stack([weight[o, i] * style[i] for i in range(weight.shape[1])])
        if demodulate:
            scaled = scaled / torch.sqrt((scaled**2).sum() + 1e-8)
        outputs.append(scaled)
    return torch.stack(outputs)


def modulated_conv(
    x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool, up: bool
) -> Tensor:
    """Modulate, then convolve each sample of x [N, in, H, W] with its own weights.

    Without up it is the correlation that deep learning calls convolution. With up, zeros go
    between the pixels and the weights convolve (a transposed convolution), then the filter
    smooths: NVIDIA's PyTorch weights are stored for that.
    """
    pictures = []
    for sample, style in zip(x, styles, strict=True):
        kernel = modulate(weight, style, demodulate)
        height, width = sample.shape[1:]
        if up:
            smooth = 4 * low_pass(convolve(insert_zeros(sample), kernel))
            pictures.append(smooth[:, 2 : 2 + 2 * height, 2 : 2 + 2 * width])
        else:
            edge = kernel.shape[2] // 2
            full = correlate(sample, kernel)
            pictures.append(full[:, edge : edge + height, edge : edge + width])
    return torch.stack(pictures)


def activate(x: Tensor, clamp: float | None) -> Tensor:
    """Leaky ReLU with slope 0.2 and gain sqrt(2); then values are held within +-clamp."""
    x = torch.where(x < 0, 0.2 * x, x) * math.sqrt(2)
    return hold(x, clamp)


def hold(x: Tensor, clamp: float | None) -> Tensor:
    """Hold x within +-clamp."""
    if clamp is None:
        return x
    x = torch.where(x > clamp, torch.full_like(x, clamp), x)
    return torch.where(x < -clamp, torch.full_like(x, -clamp), x)


def normalize(x: Tensor) -> Tensor:
    """Scale each row of [N, C] to mean square 1."""
    return torch.stack([row / torch.sqrt((row**2).mean() + 1e-8) for row in x])


def linear(x: Tensor, weight: Tensor, bias: Tensor, learning_rate: float = 1.0) -> Tensor:
    """Equalised linear layer: weights scaled by learning_rate / sqrt(fan in) at run time."""
    scale = learning_rate / math.sqrt(weight.shape[1])
    return torch.einsum("nc,oc->no", x, weight) * scale + bias * learning_rate


def mapping(tensors: Mapping[str, Tensor], z: Tensor, psi: float = 1.0) -> Tensor:
    """Map z [N, z_dim] to w [N, w_dim], truncated towards the mean by psi."""
    x = normalize(z)
    layer = 0
    while f"mapping.fc{layer}.weight" in tensors:
        name = f"mapping.fc{layer}"
        x = activate(linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], 0.01), None)
        layer += 1
    mean = tensors["mapping.w_avg"]
    return mean + psi * (x - mean)


def synthesis(
    tensors: Mapping[str, Tensor],
    ws: Tensor,
    noises: Mapping[str, Tensor],
    clamp: float | None = None,
) -> tuple[Tensor, dict[int, Tensor]]:
    """Render ws [N, num_ws, w_dim]: the picture, and each block's features by size.

    noises holds [r, r] or [N, 1, r, r] by layer name ("b8.conv0"); a missing one means none.
    """
    blocks = sorted(
        int(name.split(".")[1][1:]) for name in tensors if name.endswith("conv1.affine.weight")
    )
    x = torch.stack([tensors["synthesis.b4.const"]] * len(ws))
    picture = None
    features = {}
    index = 0
    for size in blocks:
        for layer in ("conv0", "conv1") if size > 4 else ("conv1",):
            name = f"synthesis.b{size}.{layer}"
            x = modulated_conv(
                x, tensors[f"{name}.weight"], affine(tensors, name, ws[:, index]),
                demodulate=True, up=layer == "conv0",
            )  # fmt: skip
            if f"b{size}.{layer}" in noises:
                x = x + noises[f"b{size}.{layer}"] * tensors[f"{name}.noise_strength"]
            x = activate(x + tensors[f"{name}.bias"][None, :, None, None], clamp)
            index += 1
        features[size] = x
        name = f"synthesis.b{size}.torgb"
        style = affine(tensors, name, ws[:, index]) / math.sqrt(x.shape[1])
        colour = modulated_conv(x, tensors[f"{name}.weight"], style, demodulate=False, up=False)
        colour = hold(colour + tensors[f"{name}.bias"][None, :, None, None], clamp)
        if picture is not None:
            colour = torch.stack([upsample(sample) for sample in picture]) + colour
        picture = colour
    assert picture is not None
    return picture, features


def affine(tensors: Mapping[str, Tensor], name: str, w: Tensor) -> Tensor:
    """Turn w [N, w_dim] into a layer's styles [N, in]."""
    return linear(w, tensors[f"{name}.affine.weight"], tensors[f"{name}.affine.bias"])
