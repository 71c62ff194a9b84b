"""What stays the same during a drag, and features around handles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from drag.config import DragConfig
from drag.methods import METHODS
from drag.motion import kept_share
from drag.points import DragPoint
from drag.sampling import feature_resolution, to_feature_length, to_feature_xy
from drag.stopping import tolerance_of
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.partial import features_at, frozen
from stylegan2.windows import Window, WindowedFeatures, merged

MIN_LENGTH = 1 / 16
"""In feature pixels, the least pull and tolerance: twice the step of tracking.

It matters to networks below 64 pixels only.
"""

SMALL = 256
"""Windows of networks up to this size take less time than waking a thread for each layer does."""

Places = Sequence[Sequence[float]]
"""Handles' xy in feature pixels, as numbers on the host."""


@dataclass(frozen=True)
class Field:
    """Features [1, C, h, w] around some handles, by index [n]; origin is their first pixel's xy."""

    features: Tensor
    origin: Tensor
    handles: Tensor


class View:
    """The features around the handles for some ws; lengths in feature pixels."""

    def __init__(self, found: WindowedFeatures, fields: list[Field], num_moving_ws: int) -> None:
        self.fields = fields
        self.found = found
        self._num_moving_ws = num_moving_ws

    @property
    def ws(self) -> Tensor:
        """All ws [1, num_ws, w_dim]."""
        return self.found.ws

    def picture(self) -> Tensor:
        """Render the picture [1, img_channels, H, W]."""
        return self.found.picture()

    def products(self, count: int, cotangents: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return gradients by the moving ws, [count, k, w_dim], of that many scalars.

        cotangents are the scalars' gradients by each field's features: which of the scalars read
        it [n], and theirs [n, C, h, w].
        """
        return self.found.pull(count, cotangents, self._num_moving_ws)


class Scene:
    """A network, the ws a drag starts from, its points and its mask; lengths in feature pixels.

    size is the longer side of the features, extent their width and height [2]. r1 is the radius of
    the patch that moves with a handle, r2 that of search; handles and targets are [P, 2];
    first_features [1, C, h, w] are those of the start; kept [h, w] is the share of each feature
    pixel that a mask keeps, None when all may change.
    """

    def __init__(
        self,
        generator: Generator,
        noise_consts: NoiseConsts | None,
        ws: Tensor,
        points: Sequence[DragPoint],
        movable_mask: Tensor | None,
        config: DragConfig,
    ) -> None:
        self._generator = frozen(generator)
        self._noise_consts = noise_consts
        self._ws = ws.detach().clone()
        self._num_moving_ws = config.num_moving_ws
        self._indices: dict[tuple[int, ...], Tensor] = {}
        self.resolution = generator.resolution
        usual = feature_resolution(generator.resolution)
        self.size = size = config.features or usual
        height, width = generator.config.block_shape(size)
        self._whole = Window(0, 0, width, height)
        self.coarser = max(usual / size, 1.0)
        self.tolerance = max(to_feature_length(tolerance_of(len(points)), size), MIN_LENGTH)
        r1 = METHODS[config.method].r1 if config.r1 is None else config.r1
        # Below one feature pixel a patch has no neighbours, and a search has nowhere to go.
        self.r1 = max(to_feature_length(r1, size), 1.0)
        self.r2 = max(to_feature_length(config.r2, size), 1.0)
        self.extent = torch.tensor([float(width), float(height)], device=ws.device)
        self.handles = self._to_features([point.handle for point in points])
        self.targets = self._to_features([point.target for point in points])
        with torch.no_grad():
            first = features_at(self._generator, self._ws, noise_consts, size)
        self.first_features = first.features
        self.kept: Tensor | None = None
        if movable_mask is not None and not bool(movable_mask.all()):
            self.kept = kept_share(movable_mask.to(ws.device), size)

    @property
    def is_small(self) -> bool:
        """Whether all that is rendered on a CPU is small windows: there threads do not pay."""
        on_cpu = self._ws.device.type == "cpu"
        return on_cpu and self.kept is None and self.resolution <= SMALL

    def start(self) -> Tensor:
        """Return a copy [1, k, w_dim] of the ws that move."""
        return self._ws[:, : self._num_moving_ws].clone()

    def join(self, moving: Tensor) -> Tensor:
        """Return all ws [1, num_ws, w_dim]: those that move and the rest."""
        return torch.cat([moving, self._ws[:, self._num_moving_ws :]], dim=1)

    @torch.no_grad()
    def picture(self, ws: Tensor) -> Tensor:
        """Render ws in full: [1, img_channels, H, W]."""
        picture: Tensor = self._generator.synthesis(ws, self._noise_consts)
        return picture

    def render(self, moving: Tensor, places: Places, reach: float) -> View:
        """Render the features within `reach` of places; with a mask, one field holds all."""
        around = [_window(x, y, reach, self._whole) for x, y in places]
        windows = merged(around) if self.kept is None else [self._whole]
        found = WindowedFeatures(
            self._generator, self.join(moving), self._noise_consts, self.size, windows
        )
        return self._view(found, around, windows)

    def narrowed(self, view: View, places: Places, reach: float) -> View:
        """Return the same features within `reach` of places only: their gradients cost less."""
        if self.kept is None:
            return view
        around = [_window(x, y, reach, self._whole) for x, y in places]
        windows = merged(around)
        return self._view(view.found.within(windows), around, windows)

    def _view(
        self, found: WindowedFeatures, around: Sequence[Window], windows: Sequence[Window]
    ) -> View:
        device = self._ws.device
        home = [next(w for w in windows if _contains(w, own)) for own in around]
        fields = []
        for features, window in zip(found.features, windows, strict=True):
            inside = [i for i, own in enumerate(home) if own is window]
            # Filled on the device: a copy from the host would make it wait, at every step.
            origin = torch.stack(
                [torch.full((), float(v), device=device) for v in (window.left, window.top)]
            )
            fields.append(Field(features, origin, self._handles_by_index(inside)))
        return View(found, fields, self._num_moving_ws)

    def _handles_by_index(self, indices: Sequence[int]) -> Tensor:
        """Return indices as a tensor on the device; which handles share a field seldom changes."""
        key = tuple(indices)
        if key not in self._indices:
            self._indices[key] = torch.tensor(key, dtype=torch.long, device=self._ws.device)
        return self._indices[key]

    def _to_features(self, places: Places) -> Tensor:
        xy = torch.tensor(places, dtype=torch.float32)
        return to_feature_xy(xy, self.resolution, self.size).to(self._ws.device)


def _window(x: float, y: float, reach: float, whole: Window) -> Window:
    """Return the pixels that bilinear reading needs within `reach` of (x, y)."""

    def span(middle: float, size: int) -> tuple[int, int]:
        low = min(max(math.floor(middle - reach), 0), size - 2)
        return low, max(min(math.floor(middle + reach) + 2, size), low + 2)

    (left, right), (top, bottom) = span(x, whole.right), span(y, whole.bottom)
    return Window(left, top, right, bottom)


def _contains(window: Window, other: Window) -> bool:
    return (
        window.left <= other.left
        and window.top <= other.top
        and other.right <= window.right
        and other.bottom <= window.bottom
    )
