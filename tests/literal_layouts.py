"""TensorFlow's and rosinality's generators as functions of their own variables, literally.

Facts of the layouts, not code of theirs: TensorFlow's up-convolution is documented as "upsample,
then convolve" (correlation with [k, k, in, out]); rosinality's is a transposed convolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from tests.literal_stylegan2 import (
    activate,
    convolve,
    correlate,
    insert_zeros,
    linear,
    low_pass,
    modulate,
    normalize,
    upsample,
)


def tensorflow_mapping(variables: Mapping[str, Tensor], z: Tensor) -> Tensor:
    """Map z [N, z_dim] to w: dense weights are [in, out], with the learning rate 0.01."""
    x, layer = normalize(z), 0
    while f"mapping/Dense{layer}/weight" in variables:
        weight, bias = (variables[f"mapping/Dense{layer}/{what}"] for what in ("weight", "bias"))
        x = activate(linear(x, weight.t(), bias, 0.01), None)
        layer += 1
    return x


def tensorflow_synthesis(variables: Mapping[str, Tensor], ws: Tensor) -> Tensor:
    """Render ws with the network's own noise."""

    def layer(x: Tensor, scope: str, w: Tensor, up: bool, demodulate: bool) -> Tensor:
        kernel = variables[f"{scope}/weight"]  # [k, k, in, out]
        size, _, inputs, outputs = kernel.shape
        turned = torch.stack(
            [torch.stack([kernel[:, :, i, o] for i in range(inputs)]) for o in range(outputs)]
        )
        style = linear(
            w[None], variables[f"{scope}/mod_weight"].t(), variables[f"{scope}/mod_bias"]
        )
        weights = modulate(turned / math.sqrt(size * size * inputs), style[0] + 1, demodulate)
        height, width = x.shape[1:]
        if up:
            smooth = 4 * low_pass(insert_zeros(x))  # upsample first, then correlate
            return correlate(smooth, weights)[:, 2 : 2 + 2 * height, 2 : 2 + 2 * width]
        edge = size // 2
        return correlate(x, weights)[:, edge : edge + height, edge : edge + width]

    pictures = []
    for latents in ws:
        x = variables["synthesis/4x4/Const/const"][0]
        picture, index, noise = torch.zeros(0), 0, 0
        size = 4
        while f"synthesis/{size}x{size}/ToRGB/weight" in variables:
            scope = f"synthesis/{size}x{size}"
            for name in ("Conv",) if size == 4 else ("Conv0_up", "Conv1"):
                x = layer(x, f"{scope}/{name}", latents[index], name == "Conv0_up", True)
                image = variables[f"synthesis/noise{noise}"][0, 0]
                x = x + image * variables[f"{scope}/{name}/noise_strength"]
                x = activate(x + variables[f"{scope}/{name}/bias"][:, None, None], None)
                index, noise = index + 1, noise + 1
            colour = layer(x, f"{scope}/ToRGB", latents[index], False, False)
            colour = colour + variables[f"{scope}/ToRGB/bias"][:, None, None]
            picture = colour if size == 4 else upsample(picture) + colour
            size *= 2
        pictures.append(picture)
    return torch.stack(pictures)


def rosinality_mapping(state: Mapping[str, Tensor], z: Tensor) -> Tensor:
    """Map z [N, z_dim] to w."""
    x, layer = normalize(z), 1
    while f"style.{layer}.weight" in state:
        x = activate(
            linear(x, state[f"style.{layer}.weight"], state[f"style.{layer}.bias"], 0.01), None
        )
        layer += 1
    return x


def rosinality_synthesis(state: Mapping[str, Tensor], ws: Tensor) -> Tensor:
    """Render ws with the network's own noise buffers."""

    def layer(x: Tensor, name: str, w: Tensor, up: bool, demodulate: bool) -> Tensor:
        kernel = state[f"{name}.conv.weight"][0]
        _, inputs, size, _ = kernel.shape
        style = linear(
            w[None],
            state[f"{name}.conv.modulation.weight"],
            state[f"{name}.conv.modulation.bias"],
        )[0]
        weights = modulate(kernel / math.sqrt(inputs * size * size), style, demodulate)
        height, width = x.shape[1:]
        if up:
            smooth = 4 * low_pass(convolve(insert_zeros(x), weights))  # transposed, then blurred
            return smooth[:, 2 : 2 + 2 * height, 2 : 2 + 2 * width]
        edge = size // 2
        return correlate(x, weights)[:, edge : edge + height, edge : edge + width]

    pictures = []
    blocks = sum(name.startswith("to_rgbs.") and name.endswith("conv.weight") for name in state)
    for latents in ws:

        def styled(x: Tensor, name: str, w: Tensor, up: bool, noise: int) -> Tensor:
            x = layer(x, name, w, up, True)
            x = x + state[f"{name}.noise.weight"] * state[f"noises.noise_{noise}"][0]
            return activate(x + state[f"{name}.activate.bias"][:, None, None], None)

        x = styled(state["input.input"][0], "conv1", latents[0], False, 0)
        picture = layer(x, "to_rgb1", latents[1], False, False) + state["to_rgb1.bias"][0]
        for block in range(blocks):
            first = 2 * block + 1
            x = styled(x, f"convs.{2 * block}", latents[first], True, first)
            x = styled(x, f"convs.{2 * block + 1}", latents[first + 1], False, first + 1)
            colour = layer(x, f"to_rgbs.{block}", latents[first + 2], False, False)
            picture = upsample(picture) + colour + state[f"to_rgbs.{block}.bias"][0]
        pictures.append(picture)
    return torch.stack(pictures)
