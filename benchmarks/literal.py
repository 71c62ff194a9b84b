"""The work as the field's reference does it, plainly from the papers: what to be faster than.

Nothing is shared with stylegan2.ops, drag/, inversion/ or pti/ but the weights and the perceptual
networks. Weights are modulated for each picture (Karras et al., 2020, arXiv 1912.04958, section
2.2), the whole picture is rendered in every step, features are enlarged to the picture for
dragging (Pan et al., 2023, arXiv 2305.10973, section 3), and tuning compares whole pictures (Roich
et al., 2021, arXiv 2106.05744, section 3).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from drag.points import DragPoint
from inversion.perceptual import LpipsDistance, PerceptualDistance
from stylegan2.generator import Generator
from stylegan2.layers import SynthesisLayer

FEATURES_OF = 128
"""Block whose features are dragged; one below the last in networks that have none above it."""


# ---------------------------------------------------------------------------------------------
# Synthesis


def low_pass(x: Tensor, padding: int) -> Tensor:
    """Convolve each channel of x with the 4x4 filter (1 3 3 1) x (1 3 3 1) / 16."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps) / 16
    channels = x.shape[1]
    return F.conv2d(F.pad(x, [padding] * 4), kernel.repeat(channels, 1, 1, 1), groups=channels)


def enlarge(x: Tensor) -> Tensor:
    """Double a picture: a zero after each pixel, then the filter."""
    n, channels, height, width = x.shape
    zeros = torch.zeros(n, channels, height, 2, width, 2, dtype=x.dtype, device=x.device)
    zeros[:, :, :, 0, :, 0] = x
    x = F.pad(zeros.reshape(n, channels, 2 * height, 2 * width), [2, 1, 2, 1])
    return low_pass(x, 0)


def modulated_convolution(
    x: Tensor, weight: Tensor, styles: Tensor, *, demodulate: bool, up: bool
) -> Tensor:
    """Scale the weights by each picture's styles, equations 1 and 3, and convolve in groups."""
    n, _, height, width = x.shape
    weights = weight[None] * styles[:, None, :, None, None]
    if demodulate:
        weights = weights * (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    x = x.reshape(1, -1, height, width)
    if up:
        grouped = weights.transpose(1, 2).flatten(0, 1)
        x = F.conv_transpose2d(x, grouped, stride=2, groups=n)
        x = low_pass(x, 1)
    else:
        x = F.conv2d(x, weights.flatten(0, 1), padding=weight.shape[2] // 2, groups=n)
    return x.reshape(n, -1, *x.shape[2:])


def layer(x: Tensor, part: SynthesisLayer, w: Tensor, noise: Tensor) -> Tensor:
    """Run convolution, noise, bias and leaky ReLU one after the other."""
    x = modulated_convolution(x, part.weight, part.affine(w), demodulate=True, up=part.up)
    x = x + noise * part.noise_strength
    x = x + part.bias.reshape(1, -1, 1, 1)
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def synthesis(
    generator: Generator, ws: Tensor, noise_consts: Mapping[str, Tensor]
) -> tuple[Tensor, dict[int, Tensor]]:
    """Render ws [N, num_ws, w_dim] in full: the picture, and every block's features by size."""
    network = generator.synthesis
    x = network.block(4).const.repeat(len(ws), 1, 1, 1)
    picture, features = torch.zeros(()), {}
    number = 0
    for size in generator.config.block_resolutions:
        block = network.block(size)
        if size > 4:
            x = layer(x, block.conv0, ws[:, number], noise_consts[f"b{size}.conv0"])
            number += 1
        x = layer(x, block.conv1, ws[:, number], noise_consts[f"b{size}.conv1"])
        number += 1
        features[size] = x
        torgb = block.torgb
        styles = torgb.affine(ws[:, number]) / math.sqrt(x.shape[1])
        colours = modulated_convolution(x, torgb.weight, styles, demodulate=False, up=False)
        colours = colours + torgb.bias.reshape(1, -1, 1, 1)
        picture = colours if size == 4 else enlarge(picture) + colours
    return picture, features


# ---------------------------------------------------------------------------------------------
# Dragging


class LiteralDrag:
    """Motion supervision and point tracking on features as large as the picture.

    Lengths in pixels of a 512 picture, of the picture itself at least one. A step renders, finds
    the handles, and moves the first ws; the handles lie on pixels.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Tensor,
        points: Sequence[DragPoint],
        movable_mask: Tensor | None = None,
        *,
        learning_rate: float = 2e-3,
        r1: float = 3.0,
        r2: float = 12.0,
        lambda_mask: float = 20.0,
        num_moving_ws: int = 6,
    ) -> None:
        size = generator.resolution
        self._generator = generator
        self._noise = generator.synthesis.noise_consts()
        self._block = min(FEATURES_OF, size // 2)
        self._r1 = max(round(r1 * size / 512), 1)
        self._r2 = max(round(r2 * size / 512), 1)
        self._tolerance = max((1 if len(points) <= 5 else 2) * size / 512, 1.0)
        self._lambda_mask = lambda_mask
        self._moving = ws[:, :num_moving_ws].detach().clone().requires_grad_()
        self._rest = ws[:, num_moving_ws:].detach()
        self._adam = torch.optim.Adam([self._moving], lr=learning_rate)
        self._kept = None if movable_mask is None else (~movable_mask).to(ws)
        self.handles = [(round(x), round(y)) for x, y in (point.handle for point in points)]
        self._targets = [(round(x), round(y)) for x, y in (point.target for point in points)]
        self._first: Tensor | None = None
        self._templates: list[Tensor] = []
        self.picture = ws.new_zeros(())

    @property
    def arrived(self) -> bool:
        """Tell whether every handle is within the tolerance of its target."""
        pairs = zip(self.handles, self._targets, strict=True)
        return all(math.dist(handle, target) <= self._tolerance for handle, target in pairs)

    def step(self) -> None:
        """Render, track, supervise the motion, and let Adam move ws."""
        size = self._generator.resolution
        ws = torch.cat([self._moving, self._rest], dim=1)
        with torch.enable_grad():
            self.picture, blocks = synthesis(self._generator, ws, self._noise)
            features = F.interpolate(
                blocks[self._block], size=(size, size), mode="bilinear", align_corners=False
            )
        if self._first is None:
            self._first = features.detach()
            self._templates = [self._first[0, :, y, x] for x, y in self.handles]
        else:
            self._track(features.detach())
        loss = features.new_zeros(())
        for (x, y), (target_x, target_y) in zip(self.handles, self._targets, strict=True):
            far = math.hypot(target_x - x, target_y - y)
            if far <= self._tolerance:
                continue
            rows = torch.arange(max(y - self._r1, 0), min(y + self._r1 + 1, size))
            columns = torch.arange(max(x - self._r1, 0), min(x + self._r1 + 1, size))
            row, column = torch.meshgrid(rows, columns, indexing="ij")
            inside = (row - y).square() + (column - x).square() <= self._r1**2
            row, column = row[inside], column[inside]
            here = features.detach()[0, :, row, column]
            ahead_x = column + (target_x - x) / far
            ahead_y = row + (target_y - y) / far
            grid = torch.stack([ahead_x, ahead_y], dim=1).to(features)
            grid = (2 * grid + 1) / size - 1
            ahead = F.grid_sample(
                features, grid[None, None], align_corners=False, padding_mode="border"
            )
            loss = loss + (here - ahead[0, :, 0]).abs().mean()
        if self._kept is not None:
            kept = ((features - self._first) * self._kept).abs().mean()
            loss = loss + self._lambda_mask * kept
        if loss.requires_grad:
            self._adam.zero_grad()
            loss.backward()
            self._adam.step()

    def _track(self, features: Tensor) -> None:
        size = self._generator.resolution
        for i, ((x, y), template) in enumerate(zip(self.handles, self._templates, strict=True)):
            left, top = max(x - self._r2, 0), max(y - self._r2, 0)
            right, bottom = min(x + self._r2 + 1, size), min(y + self._r2 + 1, size)
            around = features[0, :, top:bottom, left:right]
            gaps = (around - template[:, None, None]).abs().sum(dim=0)
            place = int(gaps.argmin())
            self.handles[i] = (left + place % (right - left), top + place // (right - left))


# ---------------------------------------------------------------------------------------------
# Projection


class LiteralProjection:
    """Projection into W (appendix D of arXiv 1912.04958): Adam on w and all noise images.

    target is [1, 3, R, R] in [-1, 1]. The picture is rendered in full and averaged down to 256.
    """

    def __init__(
        self,
        generator: Generator,
        target: Tensor,
        perceptual: PerceptualDistance,
        w: Tensor,
        w_std: float,
        rng: torch.Generator,
        *,
        steps: int = 1000,
    ) -> None:
        self._generator, self._perceptual, self._rng = generator, perceptual, rng
        self._w_std, self._steps, self._step = w_std, steps, 0
        self.w = w.detach().clone().requires_grad_()
        self.noise_consts = {
            name: torch.randn(noise.shape, generator=rng).to(noise).requires_grad_()
            for name, noise in generator.synthesis.noise_consts().items()
        }
        self._adam = torch.optim.Adam([self.w, *self.noise_consts.values()], lr=0.1)
        with torch.no_grad():
            self._wanted = perceptual.features(self._averaged(target))

    def step(self) -> float:
        """Go one step; return the perceptual distance before it."""
        t = self._step / self._steps
        self._step += 1
        ramp = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1.0 - t) / 0.25))
        self._adam.param_groups[0]["lr"] = 0.1 * ramp * min(1.0, t / 0.05)
        strength = 0.05 * self._w_std * max(0.0, 1.0 - t / 0.75) ** 2
        jitter = torch.randn(self.w.shape, generator=self._rng).to(self.w) * strength
        ws = (self.w + jitter)[:, None].repeat(1, self._generator.num_ws, 1)
        picture, _ = synthesis(self._generator, ws, self.noise_consts)
        features = self._perceptual.features(self._averaged(picture))
        distance = self._perceptual.between(features, self._wanted).sum()
        regularization = torch.zeros_like(distance)
        for noise in self.noise_consts.values():
            level = noise[None, None]
            while True:
                for axis in (2, 3):
                    correlation = (level * level.roll(1, dims=axis)).mean()
                    regularization = regularization + correlation.square()
                if level.shape[2] <= 8:
                    break
                level = F.avg_pool2d(level, 2)
        self._adam.zero_grad()
        (distance + 1e5 * regularization).backward()
        self._adam.step()
        with torch.no_grad():
            for noise in self.noise_consts.values():
                noise -= noise.mean()
                noise *= noise.square().mean().rsqrt()
        return float(distance.detach())

    @staticmethod
    def _averaged(picture: Tensor) -> Tensor:
        if picture.shape[2] <= 256:
            return picture
        return F.interpolate(picture, size=(256, 256), mode="area")


# ---------------------------------------------------------------------------------------------
# Tuning


def whole_distance(perceptual: PerceptualDistance, a: Tensor, b: Tensor) -> Tensor:
    """Compare pictures at their full size. The offline distance has no such form: 256 at most."""
    if isinstance(perceptual, LpipsDistance):
        distance: Tensor = perceptual.model(a, b)
        return distance.sum()
    return perceptual.between(perceptual.features(a), perceptual.features(b)).sum()


class LiteralTuning:
    """Pivotal tuning (equations 2 to 5): every weight, whole pictures, a second network to keep to.

    The generator given is not changed. With locality, each step renders one latent near the pivot
    with both networks.
    """

    def __init__(
        self,
        generator: Generator,
        target: Tensor,
        perceptual: PerceptualDistance,
        w_pivot: Tensor,
        rng: torch.Generator,
        *,
        locality: bool,
        alpha: float = 7.07,
        learning_rate: float = 3e-4,
    ) -> None:
        self._first, self._tuned = generator, copy.deepcopy(generator).requires_grad_(True)
        self._target, self._perceptual, self._ws = target, perceptual, w_pivot
        self._rng, self._locality, self._alpha = rng, locality, alpha
        self._noise = generator.synthesis.noise_consts()
        self._adam = torch.optim.Adam(self._tuned.parameters(), lr=learning_rate)

    def step(self) -> float:
        """Go one step; return the loss before it, without what locality adds."""
        picture, _ = synthesis(self._tuned, self._ws, self._noise)
        loss = (picture - self._target).square().mean()
        loss = loss + whole_distance(self._perceptual, picture, self._target)
        apart = loss.detach()
        if self._locality:
            z = torch.randn(1, self._first.config.z_dim, generator=self._rng)
            with torch.no_grad():
                towards = self._first.mapping(z.to(self._ws))[:, None] - self._ws
                near = self._ws + self._alpha * towards / towards.norm(dim=2, keepdim=True)
                kept, _ = synthesis(self._first, near, self._noise)
            there, _ = synthesis(self._tuned, near, self._noise)
            gap = (there - kept).square().mean() + whole_distance(self._perceptual, there, kept)
            loss = loss + 0.1 * gap
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        return float(apart)
