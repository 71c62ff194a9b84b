"""Synthesis inside windows: the last blocks run only where their features are wanted.

A convolution's output in a window depends on a window of its input that is a little larger, so
from the feature block downwards each layer has its own window, cut off at the picture's edge and
padded there with the zeros that the whole layer would see. The values are those of the whole map.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from stylegan2.backward import LayerPass, Padding
from stylegan2.generator import (
    BlockOutput,
    Generator,
    GeneratorConfig,
    NoiseConsts,
    noise_of,
)
from stylegan2.layers import SynthesisBlock
from stylegan2.ops import upsample
from stylegan2.partial import resume

WORTHWHILE = 0.5
"""A block runs in windows when they are less than this share of its area."""


AT_ONCE = 2**22
"""Values of a layer's output for all cotangents that go through it together: what bounds memory."""


@dataclass(frozen=True)
class Window:
    """Pixels left <= x < right, top <= y < bottom of a feature map."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


def merged(windows: Sequence[Window]) -> list[Window]:
    """Join windows as long as the box around two of them is no larger than both together."""
    boxes: list[Window] = []
    for box in windows:
        i = 0
        while i < len(boxes):
            other = boxes[i]
            around = Window(
                min(box.left, other.left),
                min(box.top, other.top),
                max(box.right, other.right),
                max(box.bottom, other.bottom),
            )
            if around.area <= box.area + other.area:
                box = around
                del boxes[i]
                i = 0
            else:
                i += 1
        boxes.append(box)
    return boxes


class WindowedFeatures:
    """Features of a block inside windows, and their gradients by ws.

    features [1, C, h, w] of each window equal the same pixels of `features_at` up to rounding.
    Blocks of which the windows need most run whole, once for all.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Tensor,
        noise_consts: NoiseConsts | None,
        resolution: int,
        windows: Sequence[Window],
    ) -> None:
        """Run ws [1, num_ws, w_dim] up to the block of that size, without autograd.

        Raises ValueError for a size that is no block's and for windows outside the map.
        """
        sizes = [size for size in generator.config.block_resolutions if size <= resolution]
        if not sizes or sizes[-1] != resolution:
            raise ValueError(
                f"resolution must be one of the blocks {generator.config.block_resolutions}, "
                f"got {resolution}"
            )
        plans, whole = _planned(windows, generator.config, sizes)
        self.ws = ws
        self._sizes = sizes
        self._generator = generator
        self._noise_consts = noise_consts
        with torch.no_grad():
            self._trunk: list[LayerPass] = []
            x = generator.synthesis.block(4).const[None].to(ws.dtype)
            for index, (name, layer) in enumerate(generator.synthesis.layers()):
                if layer.resolution > sizes[whole]:
                    break
                noise = noise_of(layer, name, noise_consts)
                self._trunk.append(LayerPass.run(layer, index, x, ws, noise))
                x = self._trunk[-1].out
            # The last plan stands for the block that ran whole: its window is what to cut out.
            self._cuts = [plan[-1].window for plan in plans]
            self._branches: list[list[LayerPass]] = []
            self.features: list[Tensor] = []
            for plan in plans:
                part, branch = _cut(x, plan[-1].window), []
                for step in reversed(plan[:-1]):
                    block = generator.synthesis.block(step.resolution)
                    branch += step.run(block, ws, noise_consts, part)
                    part = branch[-1].out
                self._branches.append(branch)
                self.features.append(part)

    def within(self, windows: Sequence[Window]) -> WindowedFeatures:
        """Return the same features in other windows; nothing runs again, but all ran whole."""
        if any(self._branches):
            raise ValueError("only features that ran whole can be cut into windows")
        plans, whole = _planned(windows, self._generator.config, self._sizes)
        found = copy.copy(self)
        found._trunk = self._trunk[: 2 * whole + 1]
        found._cuts = [plan[-1].window for plan in plans]
        found._branches = []
        for plan in plans:
            branch = []
            for step in reversed(plan[:-1]):
                last = 2 * self._sizes.index(step.resolution)
                branch += step.cut(*self._trunk[last - 1 : last + 1])
            found._branches.append(branch)
        found.features = [_cut(self._trunk[-1].out, window) for window in windows]
        return found

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Render the whole picture [1, img_channels, H, W], beginning where the windows did."""
        synthesis, image = self._generator.synthesis, None
        for last in self._trunk[::2]:
            torgb = synthesis.block(last.layer.resolution).torgb
            rgb = torgb(last.out, self.ws[:, last.w_index + 1])
            image = rgb if image is None else upsample(image) + rgb
        start = BlockOutput(last.layer.resolution, last.out, image)
        return resume(self._generator, start, self.ws, self._noise_consts)

    @torch.no_grad()
    def pull(self, count: int, parts: Sequence[tuple[Tensor, Tensor]], num_ws: int) -> Tensor:
        """Return gradients [count, num_ws, w_dim] by the first ws for that many cotangents.

        parts holds for each window which of them [n] read it, and those there, [n, C, h, w].
        """
        largest = max(each.out.numel() for each in chain(self._trunk, *self._branches))
        at_once = max(AT_ONCE // largest, 1)
        if count <= at_once:
            return self._pull_at_once(count, parts, num_ws)
        gradients = []
        for first in range(0, count, at_once):
            last = min(first + at_once, count)
            some = []
            for rows, x in parts:
                chosen = (rows >= first) & (rows < last)
                some.append((rows[chosen] - first, x[chosen]))
            gradients.append(self._pull_at_once(last - first, some, num_ws))
        return torch.cat(gradients)

    def _pull_at_once(
        self, count: int, parts: Sequence[tuple[Tensor, Tensor]], num_ws: int
    ) -> Tensor:
        trunk = self._trunk[-1].out
        gradients = trunk.new_zeros(count, num_ws, self.ws.shape[2])
        everything = torch.arange(count, device=trunk.device)

        def pull(passes: Sequence[LayerPass], rows: Tensor, x: Tensor) -> Tensor:
            for layer in reversed(passes):
                if layer.w_index < num_ws:
                    x, of_w = layer.pull(x)
                    gradients[rows, layer.w_index] += of_w
                else:
                    x = layer.pull_x(x)
            return x

        # In the layout of the layers' outputs, which the products are made with.
        below = torch.zeros_like(trunk).expand(count, -1, -1, -1).clone()
        for (rows, x), branch, cut in zip(parts, self._branches, self._cuts, strict=True):
            if len(rows) == 0:
                continue
            _cut(below, cut)[rows] += pull(branch, rows, x)
        pull(self._trunk, everything, below)
        return gradients


def _planned(
    windows: Sequence[Window], config: GeneratorConfig, sizes: Sequence[int]
) -> tuple[list[list[_BlockPlan]], int]:
    """Plan windows of the last block, down to the last one that runs whole; return its index, too.

    Each window's plans lead from the last block to that one, of whose plan the window counts.
    """
    height, width = config.block_shape(sizes[-1])
    for window in windows:
        inside = 0 <= window.left < window.right <= width
        if not (inside and 0 <= window.top < window.bottom <= height):
            raise ValueError(f"{window} does not lie in a map of {width} x {height} pixels")
    plans = [[_BlockPlan.of(window, config, sizes[-1])] for window in windows]
    whole = len(sizes) - 1
    while whole > 0:
        area = sum(plan[-1].inner.area + plan[-1].window.area for plan in plans)
        if area > 2 * WORTHWHILE * math.prod(config.block_shape(sizes[whole])):
            break
        whole -= 1
        for plan in plans:
            plan.append(_BlockPlan.of(plan[-1].source, config, sizes[whole]))
    return plans, whole


@dataclass(frozen=True)
class _BlockPlan:
    """What a block needs for a window of its features.

    inner is the window after the first convolution, source the one of the block before it.
    """

    resolution: int
    window: Window
    inner: Window
    source: Window
    padding0: Padding
    padding1: Padding

    @staticmethod
    def of(window: Window, config: GeneratorConfig, resolution: int) -> _BlockPlan:
        shape = config.block_shape(resolution)
        inner, padding1 = _under_convolution(window, shape)
        source, padding0 = _under_upsampling(inner, shape)
        return _BlockPlan(resolution, window, inner, source, padding0, padding1)

    def run(
        self, block: SynthesisBlock, ws: Tensor, noise_consts: NoiseConsts | None, x: Tensor
    ) -> list[LayerPass]:
        name, w = f"b{self.resolution}", block.first_w
        noise0 = noise_of(block.conv0, f"{name}.conv0", noise_consts)
        noise1 = noise_of(block.conv1, f"{name}.conv1", noise_consts)
        inner, window = _cut(noise0, self.inner), _cut(noise1, self.window)
        first = LayerPass.run(block.conv0, w, x, ws, inner, self.padding0)
        return [first, LayerPass.run(block.conv1, w + 1, first.out, ws, window, self.padding1)]

    def cut(self, first: LayerPass, second: LayerPass) -> list[LayerPass]:
        """Cut what the whole block did to the window."""
        return [
            replace(
                each,
                x=_cut(each.x, source),
                noise=None if each.noise is None else _cut(each.noise, window),
                padding=padding,
                out=_cut(each.out, window),
            )
            for each, source, window, padding in (
                (first, self.source, self.inner, self.padding0),
                (second, self.inner, self.window, self.padding1),
            )
        ]


def _cut(x: Tensor, window: Window) -> Tensor:
    return x[..., window.top : window.bottom, window.left : window.right]


def _under_convolution(window: Window, shape: tuple[int, int]) -> tuple[Window, Padding]:
    """Return what a 3x3 convolution reads for a window of its output, and how to pad that."""
    height, width = shape
    left, right, pad_left, pad_right = _convolved(window.left, window.right, width)
    top, bottom, pad_top, pad_bottom = _convolved(window.top, window.bottom, height)
    return Window(left, top, right, bottom), (pad_left, pad_right, pad_top, pad_bottom)


def _convolved(low: int, high: int, size: int) -> tuple[int, int, int, int]:
    first, last = max(low - 1, 0), min(high + 1, size)
    return first, last, first - (low - 1), (high + 1) - last


def _under_upsampling(window: Window, shape: tuple[int, int]) -> tuple[Window, Padding]:
    """Return what the upsampling convolution reads, in pixels of half the size.

    The padding is that of the FIR filter, and crops what the transposed convolution made too much.
    """
    height, width = shape
    left, right, pad_left, pad_right = _upsampled(window.left, window.right, width)
    top, bottom, pad_top, pad_bottom = _upsampled(window.top, window.bottom, height)
    return Window(left, top, right, bottom), (pad_left, pad_right, pad_top, pad_bottom)


def _upsampled(low: int, high: int, size: int) -> tuple[int, int, int, int]:
    # The filter's output y reads rows y - 1 .. y + 2 of the transposed convolution, whose row j
    # reads rows (j - 2) / 2 .. j / 2 of the input; input row i makes rows 2i .. 2i + 2.
    first = max((low - 2) // 2, 0)
    last = min((high + 1) // 2 + 1, size // 2)
    return first, last, 2 * first - (low - 1), (high + 2) - (2 * last + 1)
