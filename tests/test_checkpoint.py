"""Weights go to disk and come back unchanged, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from stylegan2.checkpoint import (
    WeightsInvalid,
    apply_delta,
    build_generator,
    config_from_tensors,
    load_generator,
    save_generator,
    weight_delta,
    weights_hash,
)
from stylegan2.embedded import embedded_path
from stylegan2.images import to_tensor, to_uint8
from stylegan2.latents import to_ws, w_statistics
from tests.checkpoint_makers import fir_filter
from tests.factories import tiny_generator


@pytest.mark.parametrize(
    ("resolution", "w_dim", "z_dim", "layers", "clamp"),
    [(16, 8, 12, 1, None), (64, 24, 16, 5, 256.0)],
)
def test_a_generator_of_any_size_comes_back_equal(
    tmp_path: Path, resolution: int, w_dim: int, z_dim: int, layers: int, clamp: float | None
) -> None:
    generator = tiny_generator(
        resolution, w_dim=w_dim, z_dim=z_dim, layers=layers, conv_clamp=clamp
    )
    save_generator(generator, tmp_path / "g.safetensors", {"name": "tiny"})
    loaded = load_generator(tmp_path / "g.safetensors")
    assert loaded.config == generator.config
    assert weights_hash(loaded) == weights_hash(generator)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert [path.name for path in tmp_path.iterdir()] == ["g.safetensors"]


def test_files_with_nvidias_filter_buffers_are_read_too(tmp_path: Path) -> None:
    generator = tiny_generator(16)
    tensors = {name: t.clone() for name, t in generator.state_dict().items()}
    tensors["synthesis.b8.resample_filter"] = fir_filter()
    save_file(tensors, tmp_path / "g.safetensors")
    assert weights_hash(load_generator(tmp_path / "g.safetensors")) == weights_hash(generator)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("synthesis.b8.conv0.bias"), "synthesis.b8.conv0.bias is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra does not belong there"),
        (
            lambda t: t.update({"synthesis.b8.conv0.bias": torch.zeros(3)}),
            r"synthesis.b8.conv0.bias should be \(16,\), is \(3,\)",
        ),
        (
            lambda t: t.update({"mapping.w_avg": torch.full((16,), float("nan"))}),
            "mapping.w_avg holds values that are not finite",
        ),
        (lambda t: t.clear(), "no synthesis blocks"),
        (lambda t: t.pop("mapping.fc0.weight"), "mapping.fc0.weight is missing"),
        (
            lambda t: [t.pop(n) for n in list(t) if n.startswith("synthesis.b8")],
            "should double from 4",
        ),
    ],
)
def test_what_does_not_fit_is_named(damage: object, message: str) -> None:
    tensors = dict(tiny_generator(16).state_dict())
    assert callable(damage)
    damage(tensors)
    with pytest.raises(WeightsInvalid, match=message):
        build_generator(tensors)


def test_a_file_that_is_no_safetensors_or_is_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.safetensors").write_bytes(b"\xff\xd8\xff\xe0 not weights")
    with pytest.raises(WeightsInvalid, match=r"photo\.safetensors is not a readable"):
        load_generator(tmp_path / "photo.safetensors")
    with pytest.raises(WeightsInvalid, match="does not exist"):
        load_generator(tmp_path / "none.safetensors")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.safetensors"
    save_generator(tiny_generator(16), path)
    before = path.read_bytes()

    def full_disk(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_generator(tiny_generator(16, seed=1), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]


def test_the_hash_sees_one_changed_value_and_the_clamp() -> None:
    generator = tiny_generator(16)
    other = tiny_generator(16)
    assert weights_hash(generator) == weights_hash(other)
    other.synthesis.block(8).conv1.bias[3] += 1e-6
    assert weights_hash(generator) != weights_hash(other)
    assert weights_hash(generator) != weights_hash(tiny_generator(16, conv_clamp=256.0))


def test_a_difference_gives_the_tuned_generator_back_within_half_precision() -> None:
    base = tiny_generator(16)
    tuned = tiny_generator(16)
    tuned.synthesis.block(8).conv1.weight.add_(torch.randn(16, 16, 3, 3), alpha=1e-6)
    delta = weight_delta(base, tuned)
    assert set(delta) == {"synthesis.b8.conv1.weight", "synthesis.b8.conv1.weight.scale"}
    back = apply_delta(base, delta)
    gap = (back.synthesis.block(8).conv1.weight - tuned.synthesis.block(8).conv1.weight).abs().max()
    assert float(gap) < 5e-9
    assert weights_hash(apply_delta(base, {})) == weights_hash(base)


def test_a_difference_of_another_network_is_refused() -> None:
    delta = weight_delta(tiny_generator(32), tiny_generator(32, seed=1))
    with pytest.raises(WeightsInvalid, match="does not fit this network"):
        apply_delta(tiny_generator(16), delta)


def test_the_embedded_generator_loads_says_what_it_is_and_is_small() -> None:
    path = embedded_path()
    generator = load_generator(path)
    assert generator.resolution == 256
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["licence"]
    assert path.stat().st_size < 24e6
    assert all(t.dtype == torch.float16 for t in load_file(path).values())


def test_the_embedded_generators_mean_face_is_a_picture_and_not_noise() -> None:
    generator = load_generator(embedded_path())
    mean = generator.synthesis(to_ws(generator.mapping.w_avg[None], generator.num_ws))
    pixels = to_uint8(mean).astype(float)
    assert pixels.std() > 15
    assert np.abs(np.diff(pixels, axis=1)).mean() < 0.25 * pixels.std()


def test_sizes_are_read_off_the_shapes_alone() -> None:
    generator = tiny_generator(64, w_dim=20, z_dim=12, layers=3, channel_base=1024)
    shapes = {name: tuple(t.shape) for name, t in generator.state_dict().items()}
    assert config_from_tensors(shapes) == generator.config


def test_w_statistics_are_those_of_nvidias_projector() -> None:
    generator = tiny_generator(16)
    found = w_statistics(generator, samples=2500, seed=7)
    z = torch.randn(2500, 16, generator=torch.Generator().manual_seed(7))
    w = generator.mapping(z)
    torch.testing.assert_close(found.mean, w.mean(dim=0))
    expected = ((w - found.mean) ** 2).sum() / 2500
    assert found.std == pytest.approx(float(expected) ** 0.5)


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    pixels = np.arange(4 * 64 * 3, dtype=np.uint8).reshape(4, 64, 3)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 4, 64)
    assert float(tensor.min()) == -1.0
    assert float(tensor.max()) == 1.0
    assert np.array_equal(to_uint8(tensor), pixels)
    with pytest.raises(ValueError, match="uint8"):
        to_tensor(pixels.astype(np.float32))
