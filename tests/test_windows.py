"""Windows hold what the whole map holds, wherever they lie, with the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from stylegan2 import windows as windows_module
from stylegan2.generator import Generator
from stylegan2.partial import features_at, frozen
from stylegan2.windows import Window, WindowedFeatures, merged
from tests.factories import tiny_generator


def _ws(generator: Generator) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(1, generator.num_ws, generator.w_dim, generator=rng, dtype=torch.float64)


def _noise(generator: Generator) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(9)
    own = generator.synthesis.noise_consts()
    return {
        name: torch.randn(noise.shape, generator=rng, dtype=torch.float64)
        for name, noise in own.items()
    }


def _double(resolution: int) -> Generator:
    return frozen(tiny_generator(resolution, channel_max=8).double())


@pytest.mark.parametrize(
    "window",
    [
        Window(0, 0, 5, 4),
        Window(59, 60, 64, 64),
        Window(20, 31, 27, 40),
        Window(21, 30, 28, 37),
        Window(0, 28, 3, 33),
        Window(63, 0, 64, 1),
        Window(5, 5, 6, 6),
        Window(0, 0, 64, 64),
    ],
)
def test_a_window_holds_the_pixels_of_the_whole_map(window: Window) -> None:
    generator = _double(128)
    ws, noise = _ws(generator), _noise(generator)
    whole = features_at(generator, ws, noise, 64).features
    (found,) = WindowedFeatures(generator, ws, noise, 64, [window]).features
    expected = whole[..., window.top : window.bottom, window.left : window.right]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_every_window_of_a_small_map_holds_its_pixels() -> None:
    generator = _double(32)
    ws = _ws(generator)
    whole = features_at(generator, ws, None, 16).features
    windows = [
        Window(left, top, left + width, top + height)
        for width, height in ((1, 1), (2, 3), (5, 2))
        for left in range(17 - width)
        for top in range(17 - height)
    ]
    for window in windows:
        (found,) = WindowedFeatures(generator, ws, None, 16, [window]).features
        expected = whole[..., window.top : window.bottom, window.left : window.right]
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def _gradients_by_autograd(
    generator: Generator,
    ws: Tensor,
    noise: dict[str, Tensor],
    windows: list[Window],
    parts: list[tuple[Tensor, Tensor]],
    count: int,
) -> Tensor:
    ws = ws.clone().requires_grad_()
    with torch.enable_grad():
        whole = features_at(generator, ws, noise, 64).features
    found = []
    for scalar in range(count):
        cotangent = torch.zeros_like(whole)
        for window, (rows, values) in zip(windows, parts, strict=True):
            for row, value in zip(rows.tolist(), values, strict=True):
                if row == scalar:
                    within = cotangent[..., window.top : window.bottom, window.left : window.right]
                    within += value
        (gradient,) = torch.autograd.grad(whole, ws, cotangent, retain_graph=True)
        found.append(gradient[0])
    return torch.stack(found)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("clamp", [None, 0.5])
@pytest.mark.parametrize(
    "windows",
    [
        [Window(3, 4, 12, 13), Window(40, 50, 50, 64)],
        [Window(0, 0, 1, 1), Window(62, 0, 64, 30)],
        [Window(0, 0, 64, 64), Window(10, 10, 12, 12)],
    ],
)
def test_many_gradients_at_once_are_those_of_the_whole_map(
    windows: list[Window],
    clamp: float | None,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = _double(128).to(dtype)
    for _, layer in generator.synthesis.layers():
        layer.clamp = clamp
    ws, noise = _ws(generator).to(dtype), {k: v.to(dtype) for k, v in _noise(generator).items()}
    found = WindowedFeatures(generator, ws, noise, 64, windows)
    rng = torch.Generator().manual_seed(2)
    rows = [torch.tensor([0, 2]), torch.tensor([1, 2, 3])]
    parts = [
        (own, torch.randn(len(own), *f.shape[1:], generator=rng, dtype=dtype))
        for own, f in zip(rows, found.features, strict=True)
    ]
    gradients = found.pull(4, parts, 6)
    monkeypatch.setattr(windows_module, "AT_ONCE", 1)
    torch.testing.assert_close(found.pull(4, parts, 6), gradients, rtol=1e-3, atol=1e-4)
    expected = _gradients_by_autograd(generator, ws, noise, windows, parts, 4)[:, :6]
    tolerance = 1e-9 if dtype is torch.float64 else 2e-4
    assert float((gradients - expected).norm()) <= tolerance * float(expected.norm())
    assert float(expected.norm()) > 0


def test_windows_cost_less_than_the_whole_map(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = _double(128)
    seen: list[int] = []
    convolve: Callable[..., Tensor] = torch.nn.functional.conv2d

    def counted(*arguments: Any, **options: Any) -> Tensor:
        out = convolve(*arguments, **options)
        seen.append(out.shape[-1] * out.shape[-2])
        return out

    monkeypatch.setattr(torch.nn.functional, "conv2d", counted)
    WindowedFeatures(generator, _ws(generator), None, 64, [Window(20, 20, 29, 29)])
    in_window = sum(seen)
    seen.clear()
    features_at(generator, _ws(generator), None, 64)
    assert in_window < 0.3 * sum(seen)


def test_overlapping_windows_are_merged_and_others_are_not() -> None:
    near = [Window(0, 0, 10, 10), Window(4, 2, 14, 12), Window(40, 40, 50, 50)]
    assert merged(near) == [Window(0, 0, 14, 12), Window(40, 40, 50, 50)]
    chain = [Window(0, 0, 4, 4), Window(8, 0, 12, 4), Window(4, 0, 8, 4)]
    assert merged(chain) == [Window(0, 0, 12, 4)]


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 4, 4), Window(0, 0, 4, 65), Window(4, 4, 4, 8), Window(0, 9, 5, 8)]
)
def test_a_window_that_is_not_in_the_map_is_refused(window: Window) -> None:
    generator = _double(128)
    with pytest.raises(ValueError, match="does not lie in a map of 64"):
        WindowedFeatures(generator, _ws(generator), None, 64, [window])


def test_a_block_that_is_not_there_is_refused() -> None:
    generator = _double(32)
    with pytest.raises(ValueError, match="must be one of the blocks"):
        WindowedFeatures(generator, _ws(generator), None, 64, [Window(0, 0, 4, 4)])


@pytest.mark.parametrize(
    "windows",
    [
        [Window(3, 4, 12, 13), Window(40, 50, 50, 64)],
        [Window(0, 0, 1, 1), Window(62, 0, 64, 30)],
        [Window(0, 0, 64, 64)],
    ],
)
def test_windows_of_what_ran_whole_have_the_same_gradients(windows: list[Window]) -> None:
    generator = _double(128)
    ws, noise = _ws(generator), _noise(generator)
    whole = WindowedFeatures(generator, ws, noise, 64, [Window(0, 0, 64, 64)])
    cut, own = whole.within(windows), WindowedFeatures(generator, ws, noise, 64, windows)
    for found, expected in zip(cut.features, own.features, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    rng = torch.Generator().manual_seed(3)
    rows = torch.arange(2)
    parts = [
        (rows, torch.randn(2, *f.shape[1:], generator=rng, dtype=torch.float64))
        for f in own.features
    ]
    torch.testing.assert_close(cut.pull(2, parts, 8), own.pull(2, parts, 8), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(cut.picture(), whole.picture(), rtol=1e-10, atol=1e-10)


def test_only_what_ran_whole_can_be_cut() -> None:
    generator = _double(128)
    found = WindowedFeatures(generator, _ws(generator), None, 64, [Window(3, 4, 12, 13)])
    with pytest.raises(ValueError, match="ran whole"):
        found.within([Window(4, 5, 6, 7)])
