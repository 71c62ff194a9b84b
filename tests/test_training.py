"""The training tool learns, stops and goes on as if it had never stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stylegan2.checkpoint import load_generator, save_generator
from stylegan2.ops import upsample
from tools.faces import Faces, differentiable_augment, draw_batch, load_faces, warp_to_other_shapes
from tools.networks import Discriminator
from tools.train_generator import Trainer, TrainingConfig

CONFIG = TrainingConfig(
    resolution=16,
    channel_base=256,
    channel_max=16,
    d_channel_base=256,
    d_channel_max=16,
    w_dim=16,
    mapping_layers=2,
    batch=4,
    warmup_kimg=0.0,
    r1_every=2,
    path_every=2,
)


def some_faces(n: int = 16, size: int = 16) -> Faces:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, size, size), generator=rng, dtype=torch.uint8)
    landmarks = 0.3 + 0.4 * torch.rand(n, 68, 2, generator=rng)
    return Faces(images, landmarks, torch.zeros(n))


def train(trainer: Trainer, faces: Faces, steps: int) -> dict[str, float]:
    losses: dict[str, float] = {}
    for _ in range(steps):
        losses = trainer.train_step(draw_batch(faces, CONFIG.batch, trainer.rng, warp=0.3))
    return losses


def weights(trainer: Trainer) -> list[Tensor]:
    return [t for network in trainer.networks().values() for t in network.state_dict().values()]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    faces = some_faces()
    whole = Trainer(CONFIG, torch.device("cpu"), seed=1)
    expected = train(whole, faces, 4)
    first = Trainer(CONFIG, torch.device("cpu"), seed=1)
    train(first, faces, 2)
    first.save(tmp_path / "state.pt")
    second = Trainer(CONFIG, torch.device("cpu"), seed=99)
    second.load(tmp_path / "state.pt")
    for a, b in zip(weights(first), weights(second), strict=True):
        assert torch.equal(a, b)
    losses = train(second, faces, 2)
    assert second.step == whole.step
    assert torch.equal(second.rng.get_state(), whole.rng.get_state())
    for name, value in expected.items():
        assert losses[name] == pytest.approx(value, rel=0.1, abs=0.05), name


def test_warm_up_rebuilds_given_pictures_better_and_better() -> None:
    config = TrainingConfig(**{**CONFIG.__dict__, "warmup_kimg": 1.0})
    faces = some_faces(4)
    trainer = Trainer(config, torch.device("cpu"), seed=0)
    first = train(trainer, faces, 1)["pixels"]
    assert train(trainer, faces, 60)["pixels"] < 0.85 * first


def test_a_grown_network_begins_with_the_smaller_ones_picture(tmp_path: Path) -> None:
    small = Trainer(CONFIG, torch.device("cpu"), seed=0)
    small.save(tmp_path / "state.pt")
    large = Trainer(
        TrainingConfig(**{**CONFIG.__dict__, "resolution": 32}), torch.device("cpu"), seed=5
    )
    large.grow_from(tmp_path / "state.pt")
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    w = small.ema.mapping(z)[:, None]
    wanted = small.ema.synthesis(w.expand(-1, 6, -1), noise_mode="none")
    grown = large.ema.synthesis(w.expand(-1, 8, -1), noise_mode="none")
    assert torch.allclose(grown, upsample(wanted), atol=1e-5)


def test_the_trained_average_is_a_generator_that_the_package_loads(tmp_path: Path) -> None:
    trainer = Trainer(CONFIG, torch.device("cpu"), seed=0)
    train(trainer, some_faces(), 2)
    save_generator(trainer.ema, tmp_path / "g.safetensors")
    assert load_generator(tmp_path / "g.safetensors").resolution == 16


def test_folders_are_read_as_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "aligned").mkdir()
    rows = ["id\tyaw"]
    for name in ("00000", "00001"):
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(
            tmp_path / "aligned" / f"{name}.jpg"
        )
        rows.append(f"{name}\t5.0")
    (tmp_path / "index.tsv").write_text("\n".join(rows), encoding="utf-8")
    points = np.full((2, 68, 2), 15.5, np.float32)
    np.savez(tmp_path / "landmarks.npz", id=np.array(["00000", "00001"]), aligned68=points)
    faces = load_faces(tmp_path, 16)
    assert faces.images.shape == (2, 3, 16, 16)
    assert torch.allclose(faces.landmarks, torch.tensor(0.5))
    assert len(load_faces(tmp_path, 16, exclude=frozenset({"00000"}))) == 1


def test_warping_moves_a_landmark_to_where_it_is_told() -> None:
    size = 64
    own = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    own[0, 0] = torch.tensor([0.3, 0.3])
    other = own.clone()
    other[0, 0] = torch.tensor([0.4, 0.25])
    line = (torch.arange(size) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    spot = torch.exp(-((x - 0.3) ** 2 + (y - 0.3) ** 2) / 0.002)[None, None].expand(1, 3, -1, -1)
    warped = warp_to_other_shapes(spot, own, other, torch.ones(1), torch.Generator())
    row, column = divmod(int(warped[0, 0].argmax()), size)
    assert (column + 0.5) / size == pytest.approx(0.4, abs=0.03)
    assert (row + 0.5) / size == pytest.approx(0.25, abs=0.03)
    still = warp_to_other_shapes(spot, own, other, torch.zeros(1), torch.Generator())
    assert torch.allclose(still, spot, atol=1e-4)


def test_augmentation_is_differentiable_and_changes_the_picture() -> None:
    x = torch.rand(4, 3, 16, 16, requires_grad=True)
    y = differentiable_augment(x, torch.Generator().manual_seed(0))
    assert y.shape == x.shape
    assert not torch.allclose(y, x)
    y.sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0


def test_the_discriminator_judges_every_picture_of_a_batch_that_its_group_does_not_divide() -> None:
    assert Discriminator((16, 16, 16))(torch.zeros(5, 3, 16, 16)).shape == (5,)


def test_a_wider_generator_starts_as_the_same_function(tmp_path: Path) -> None:
    narrow = Trainer(CONFIG, torch.device("cpu"), seed=1)
    train(narrow, some_faces(), 2)
    narrow.save(tmp_path / "state.pt")
    wide = Trainer(replace(CONFIG, channel_base=512, channel_max=32), torch.device("cpu"), seed=2)
    wide.grow_from(tmp_path / "state.pt")
    z = torch.randn(3, CONFIG.w_dim, generator=torch.Generator().manual_seed(4))
    assert wide.ema.config.channels[0] == 2 * narrow.ema.config.channels[0]
    assert torch.allclose(wide.ema(z), narrow.ema(z), atol=1e-4)
    before = wide.ema(z)
    train(wide, some_faces(), 2)
    assert not torch.allclose(wide.ema(z), before, atol=1e-3)
