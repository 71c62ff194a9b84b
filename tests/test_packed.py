"""Packed convolutions give what torch's own give, and stand back where gradients are wanted."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2 import packed
from stylegan2.checkpoint import load_generator, save_generator
from stylegan2.generator import Generator
from stylegan2.ops import fir_filter, fir_kernel
from stylegan2.packed import PackedConv2d, can_pack
from stylegan2.partial import frozen
from tests.factories import tiny_generator


def _randn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def tried_anew() -> Iterator[None]:
    packed.why_not.cache_clear()
    yield
    packed.why_not.cache_clear()


needs_packing = pytest.mark.skipif(
    not can_pack(torch.zeros(1)), reason="this build of torch has no oneDNN"
)


@needs_packing
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 16, 33])
@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (16, 32), (64, 16)])
def test_packed_convolutions_equal_those_of_torch(
    n: int, size: int, inputs: int, outputs: int
) -> None:
    x, weight = _randn(n, inputs, size, size), _randn(outputs, inputs, 3, 3)
    back, turned = weight.transpose(0, 1), _randn(n, outputs, 2 * size + 1, 2 * size + 1)
    kernel = fir_kernel(outputs, x, 4.0)
    pairs = [
        (PackedConv2d(weight)(x, (1, 1)), F.conv2d(x, weight, padding=1)),
        (PackedConv2d(back, stride=2)(turned), F.conv2d(turned, back, stride=2)),
        (
            PackedConv2d(back, stride=2, transposed=True)(x),
            F.conv_transpose2d(x, back, stride=2),
        ),
        (
            PackedConv2d(kernel, groups=outputs)(turned, (2, 2)),
            F.conv2d(turned, kernel, padding=2, groups=outputs),
        ),
    ]
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@needs_packing
@pytest.mark.parametrize("kind", ["plain", "turned", "down", "up", "depthwise"])
def test_weights_lie_for_every_width_as_onednn_wants_them(kind: str) -> None:
    """Else it brings them into another order at every call, ten times as slow as the products."""
    weight, padding, stride = _randn(48, 64, 3, 3), (1, 1), 1
    options: dict[str, Any] = {}
    if kind == "turned":
        options, plain = {"turned": True}, weight.flip(2, 3)
    elif kind in ("down", "up"):
        stride, padding, plain = 2, (0, 0), weight
        options = {"stride": 2, "transposed": kind == "up"}
    elif kind == "depthwise":
        weight = plain = _randn(64, 1, 3, 3)
        options = {"groups": 64}
    else:
        plain = weight
    packed_once = PackedConv2d(weight, **options)
    kept: set[int] = set()
    for width in (*range(3, 25), 3):
        x = _randn(1, plain.shape[0] if kind == "up" else 64, 5, width)
        found = packed_once(x, padding)
        own = F.conv_transpose2d if kind == "up" else F.conv2d
        expected = own(x, plain, padding=padding, stride=stride, groups=options.get("groups", 1))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        fresh = packed_once._packed_for(x.shape, padding)
        kept = {id(each) for each in packed_once._by_width.values()}
        order = packed._order_of(packed_once._by_width[width + 2 * padding[1]])
        assert order is None or order == packed._order_of(fresh)
    assert len(kept) <= packed.MOST_ORDERS


@needs_packing
def test_what_asks_for_gradients_is_not_packed() -> None:
    x, weight = _randn(1, 3, 4, 4), _randn(2, 3, 3, 3).requires_grad_()
    assert can_pack(x) and not can_pack(x, weight)
    assert not can_pack(x.clone().requires_grad_())
    assert not can_pack(x.double()) and not can_pack(x.bfloat16())
    with torch.no_grad():
        assert can_pack(x, weight)


def test_gradients_reach_ws_and_weights_and_noise_through_a_frozen_rest() -> None:
    generator = tiny_generator(16)
    ws = _randn(1, generator.num_ws, generator.w_dim).requires_grad_()
    (by_ws,) = torch.autograd.grad(generator.synthesis(ws).sum(), ws)
    assert (by_ws.abs().sum(dim=2) > 0).all()
    layer = generator.synthesis.block(16).conv1
    layer.weight.requires_grad_(True)
    (by_weight,) = torch.autograd.grad(generator.synthesis(ws.detach()).sum(), layer.weight)
    assert by_weight.abs().sum() > 0


def test_a_picture_is_the_same_while_weights_are_learnt() -> None:
    generator = tiny_generator(32)
    ws = _randn(1, generator.num_ws, generator.w_dim)
    expected = generator.synthesis(ws)
    generator.requires_grad_(True)
    with torch.no_grad():
        found = generator.synthesis(ws)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_pictures_are_the_same_without_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = tiny_generator(32)
    ws = _randn(2, generator.num_ws, generator.w_dim)
    found = generator.synthesis(ws)
    monkeypatch.setattr(packed, "why_not", lambda: "switched off")
    torch.testing.assert_close(found, generator.synthesis(ws), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        fir_filter(ws[None], (2, 1, 0, -1)), fir_filter(ws[None].double(), (2, 1, 0, -1)).float()
    )


def test_weights_that_change_are_packed_anew() -> None:
    generator = tiny_generator(16)
    ws = _randn(1, generator.num_ws, generator.w_dim)
    before = generator.synthesis(ws)
    copied = copy.deepcopy(generator)
    with torch.no_grad():
        generator.synthesis.block(8).conv1.weight.mul_(-1)
        generator.synthesis.block(16).conv0.weight.add_(0.1)
    after = generator.synthesis(ws)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(copied.synthesis(ws), before)
    doubled = generator.double().synthesis(ws.double())
    torch.testing.assert_close(after.double(), doubled, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("made", ["at once", "loaded", "moved", "copied", "pickled"])
def test_weights_that_change_behind_autograds_back_are_packed_anew(
    made: str, tmp_path: Path
) -> None:
    """torch does not count what is done to `parameter.data`."""
    generator = tiny_generator(16)
    if made == "loaded":
        save_generator(generator, tmp_path / "g.safetensors")
        generator = load_generator(tmp_path / "g.safetensors")
    elif made == "moved":
        generator = generator.double().float()
    elif made == "copied":
        generator = frozen(copy.deepcopy(generator))
    elif made == "pickled":
        generator = pickle.loads(pickle.dumps(generator))
    ws = _randn(1, generator.num_ws, generator.w_dim)
    before = generator.synthesis(ws)
    for name, layer in generator.synthesis.layers():
        other = _randn(*layer.weight.shape)
        if name == "b16.conv0":
            layer.weight.data = other
        else:
            layer.weight.data.copy_(other)
    fresh = Generator(generator.config)
    fresh.load_state_dict(generator.state_dict())
    after = generator.synthesis(ws)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(after, fresh.requires_grad_(False).synthesis(ws))


def test_what_is_kept_of_weights_is_made_once(tmp_path: Path) -> None:
    save_generator(tiny_generator(16), tmp_path / "g.safetensors")
    generator = frozen(load_generator(tmp_path / "g.safetensors"))
    for _, layer in generator.synthesis.layers():
        assert layer.forms.energy(layer.weight) is layer.forms.energy(layer.weight)


@needs_packing
@pytest.mark.usefixtures("tried_anew")
@pytest.mark.parametrize("kind", ["gone", "other arguments", "other result"])
def test_operators_that_have_changed_are_found_out_and_left_alone(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are private to torch: a name that is still there promises nothing."""
    generator = tiny_generator(16)
    ws = _randn(1, generator.num_ws, generator.w_dim)
    expected = generator.synthesis(ws)
    packed.why_not.cache_clear()
    real = torch.ops.mkldnn._convolution_pointwise

    def changed(*arguments: Any) -> Tensor:
        if kind == "gone":
            raise AttributeError("no such operator")
        if kind == "other arguments":
            raise TypeError("takes 9 arguments")
        out: Tensor = real(*arguments)
        return out + 0.01

    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", changed)
    again = copy.deepcopy(generator)
    torch.testing.assert_close(again.synthesis(ws), expected, rtol=1e-4, atol=1e-4)
    assert not can_pack(torch.zeros(1, 1, 4, 4))
    reason = packed.why_not()
    assert reason is not None
    assert ("result" if kind == "other result" else "another way") in reason


def test_doctor_says_how_convolutions_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.machine.bench import Bench
    from pipeline.machine.doctor import examine

    if packed.why_not() is None:
        assert examine(Bench("cpu"))["in use"]["convolutions"] == "packed on a CPU"
    monkeypatch.setattr(packed, "why_not", lambda: "torch 9 packs in another way")
    told = examine(Bench("cpu"))["in use"]["convolutions"]
    assert told == "not packed, slower on a CPU: torch 9 packs in another way"
