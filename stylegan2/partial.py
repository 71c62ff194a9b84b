"""Synthesis in two parts: up to one block, and from there to the picture."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from stylegan2.generator import BlockOutput, Generator, NoiseConsts
from stylegan2.weight_forms import Weight


def features_at(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    resolution: int,
    with_image: bool = False,
) -> BlockOutput:
    """Run synthesis on ws [N, num_ws, w_dim] up to the block of that size, and stop there.

    Without with_image the toRGB layers do not run either, and `resume` cannot go on from it.
    Differentiable with respect to ws.
    """
    for output in generator.synthesis.run(ws, noise_consts, with_image=with_image):
        if output.resolution == resolution:
            return output
    sizes = generator.config.block_resolutions
    raise ValueError(f"resolution must be one of the blocks {sizes}, got {resolution}")


def resume(
    generator: Generator, output: BlockOutput, ws: Tensor, noise_consts: NoiseConsts | None
) -> Tensor:
    """Run the blocks above `output` and return the picture [N, img_channels, H, W].

    With the same ws and noise it equals the whole synthesis. output must carry its image.
    """
    if output.image is None:
        raise ValueError("output has no image to add to: call features_at with with_image=True")
    image = output.image
    for block in generator.synthesis.run(ws, noise_consts, start=output):
        assert block.image is not None
        image = block.image
    return image


def frozen(generator: Generator) -> Generator:
    """Return the same generator with parameters that ask for no gradient.

    The two share their weights' memory; the caller's requires_grad flags stay as they are.
    """
    memo: dict[int, object] = {}
    for parameter in generator.parameters():
        kind = Weight if isinstance(parameter, Weight) else nn.Parameter
        memo[id(parameter)] = kind(parameter.detach(), requires_grad=False)
    for buffer in generator.buffers():
        memo[id(buffer)] = buffer.detach()
    for _, layer in generator.synthesis.layers():
        memo[id(layer.forms)] = layer.forms
    return copy.deepcopy(generator, memo)
