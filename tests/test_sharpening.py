"""Textures are compared by what they hold, and a generator learns to have them."""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.frechet import frechet_distance, pooled_features
from inversion.encoder import Encoder
from inversion.perceptual import OfflineDistance
from stylegan2.checkpoint import load_generator
from stylegan2.generator import Generator, GeneratorConfig
from tools import training_loop
from tools.faces import Faces
from tools.fit_mapping import SPREAD
from tools.sharpen_generator import Sharpener, SharpeningConfig
from tools.texture import feature_distance, local_sliced_wasserstein, patch_distance
from tools.training_loop import run

CONFIG = SharpeningConfig(kimg=1.0, batch=2, warmup_kimg=0.02, directions=3, warp=0.0)
SIZE = 64


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def striped() -> Tensor:
    """Return pictures with fine texture [2, 3, SIZE, SIZE] in [-1, 1]."""
    return F.avg_pool2d(torch.rand(2, 3, 2 * SIZE, 2 * SIZE, generator=rng()), 2) * 2 - 1


def blurred(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, stride=1)


def sharpener(config: SharpeningConfig = CONFIG) -> Sharpener:
    torch.manual_seed(3)
    generator = Generator(GeneratorConfig(SIZE, 16, 16, 2, (16, 16, 8, 8, 8)))
    return Sharpener(config, generator, Encoder(16), seen_before=1000)


def some_faces() -> Faces:
    pixels = (striped() * 127.5 + 127.5).byte()
    return Faces(pixels, torch.zeros(2, 68, 2), torch.zeros(2))


def test_the_order_inside_a_window_does_not_count_and_the_values_do() -> None:
    x = torch.rand(1, 2, 8, 8, generator=rng())
    shuffled = x.flatten(2)[:, :, torch.randperm(64, generator=rng())].reshape(x.shape)
    assert float(local_sliced_wasserstein(x, shuffled, 8, rng())) == pytest.approx(0, abs=1e-6)
    assert float(local_sliced_wasserstein(x, x + 0.5, 8, rng())) == pytest.approx(0.5, abs=1e-6)
    assert float(local_sliced_wasserstein(x, shuffled, 2, rng())) > 0.05


def test_texture_elsewhere_is_nearer_than_none_which_pixels_see_the_other_way_round() -> None:
    x = striped()
    elsewhere, none = x.roll((5, 3), (2, 3)), blurred(x)
    assert (x - elsewhere).abs().mean() > (x - none).abs().mean()
    assert patch_distance(x, elsewhere, 6, rng()) < 0.5 * patch_distance(x, none, 6, rng())
    features = OfflineDistance().features
    near, far = (feature_distance(features(x), features(y), 6, rng()) for y in (elsewhere, none))
    assert near < 0.5 * far


def test_descending_on_the_patches_gives_a_flat_picture_the_texture() -> None:
    wanted = striped()
    picture = torch.nn.Parameter(blurred(wanted))
    optimizer = torch.optim.Adam([picture], lr=0.02)
    for seed in range(100):
        optimizer.zero_grad()
        patch_distance(picture, wanted, 6, torch.Generator().manual_seed(seed)).backward()
        optimizer.step()
    contrast = [(x - blurred(x)).std() for x in (blurred(wanted), picture.detach(), wanted)]
    assert contrast[1] > contrast[0] + 0.5 * (contrast[2] - contrast[0])


def test_sharpening_lowers_every_loss_and_moves_synthesis_and_encoder_only() -> None:
    training = sharpener()
    before = copy.deepcopy(training.networks())
    first = training.train_step(striped())
    for _ in range(60):
        last = training.train_step(striped())
    for name in ("pixels", "perceptual", "patch", "feature"):
        assert last[name] < first[name], name
    for name, network in training.networks().items():
        old = before[name].state_dict()
        moved = {key for key, value in network.state_dict().items() if not value.equal(old[key])}
        assert moved, name
        assert not any(key.startswith("mapping") for key in moved)


def test_the_rate_rises_and_falls_to_nothing() -> None:
    training = sharpener(replace(CONFIG, w_noise=0.0))
    rates = []
    for images in (0, 10, 20, 500, 1000):
        training.images = images
        training.train_step(striped())
        rates.append(training.optimizer.param_groups[0]["lr"] / CONFIG.lr)
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert rates[2] == max(rates)
    assert rates[3] == pytest.approx(0.5, abs=0.01)
    assert rates[4] == pytest.approx(0, abs=1e-6)


def test_a_stopped_run_goes_on_from_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}

    def draw(path: Path, panels: Mapping[str, Any], **_: Any) -> None:
        drawn.update(panels)
        path.touch()

    monkeypatch.setattr(training_loop, "PLOTS", True)
    monkeypatch.setattr(training_loop, "lines", draw)
    monkeypatch.setattr(training_loop, "JUDGED", 4)
    arguments = argparse.Namespace(run=tmp_path, minutes=1e9, save_minutes=1e9)
    first = sharpener()
    run(first, some_faces(), arguments, kimg=0.006)
    assert {file.name for file in tmp_path.iterdir()} == {
        "state.pt",
        "generator.safetensors",
        "samples.png",
        "curves.png",
    }
    assert drawn["patch"][""] == [(0.006, first.history[0]["patch"])]
    assert {"pixels", "perceptual", "patch", "feature", "frechet"} <= drawn.keys()
    assert load_generator(tmp_path / "generator.safetensors").resolution == SIZE
    second = sharpener()
    second.seen_before = 0
    second.load(tmp_path / "state.pt")
    assert second.images == first.images == 6
    assert second.seen_before == first.seen_before == 1000
    assert second.history == first.history
    assert math.isfinite(second.history[0]["patch"])
    losses = [training.train_step(striped()) for training in (first, second)]
    for name, value in losses[0].items():
        assert losses[1][name] == pytest.approx(value, rel=0.05), name


def test_without_matplotlib_a_run_says_so_and_draws_no_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training_loop, "PLOTS", False)
    monkeypatch.setattr(training_loop, "JUDGED", 2)
    arguments = argparse.Namespace(run=tmp_path, minutes=1e9, save_minutes=1e9)
    run(sharpener(), some_faces(), arguments, kimg=0.002)
    assert "matplotlib" in capsys.readouterr().out
    assert not (tmp_path / "curves.png").exists()


def test_the_progress_figure_is_nothing_for_the_photos_themselves_and_more_for_worse_ones() -> None:
    pictures = (striped(), 0.9 * striped(), blurred(striped()))
    distance = OfflineDistance()
    photos, slightly, badly = (pooled_features(x.split(1), distance) for x in pictures)
    assert frechet_distance(photos, photos) == pytest.approx(0, abs=1e-9)
    assert 0 < frechet_distance(slightly, photos) < frechet_distance(badly, photos)


def test_what_is_shown_rebuilds_the_same_and_samples_where_the_encoder_places_faces() -> None:
    training, faces = sharpener(), some_faces()
    generator, encoder = training.shown(faces)
    real = faces.images.float() / 127.5 - 1
    with torch.no_grad():
        pictures = [
            g.synthesis(e(real)[:, None].expand(-1, g.num_ws, -1))
            for g, e in ((generator, encoder), (training.ema, training.ema_encoder))
        ]
        latents = encoder(torch.cat([real[:1], real[:1].flip(3)]))
        drawn = generator.mapping(torch.randn(2000, 16, generator=rng()))
    assert torch.allclose(pictures[0], pictures[1], atol=2e-2)
    assert torch.allclose(drawn.mean(dim=0), latents.mean(dim=0), atol=0.1 * SPREAD)
