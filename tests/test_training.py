"""The generator's training learns, stops and goes on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.frechet import frechet_distance
from stylegan2.latents import to_ws
from stylegan2.ops import upsample
from tests.factories import tiny_generator
from tests.training_cases import literal_bilinear_phases, small, write_faces, write_features
from tools.adversarial.config import AdversarialConfig, rates
from tools.adversarial.heads import frozen_features
from tools.adversarial.latents import LatentBank, mixed
from tools.adversarial.loop import Limits, Run, fitted, run
from tools.adversarial.networks import build, grow
from tools.adversarial.packing import pack_faces, read_pack
from tools.adversarial.pictures import Pictures
from tools.adversarial.storing import NothingStored, read_drawing, read_stored, store
from tools.adversarial.synthesis import by_phases, interleaved, phase_weight
from tools.adversarial.training import Training
from tools.train_generator import main

CONFIG = AdversarialConfig(
    resolution=32,
    look=64,
    channel_base=256,
    channel_max=16,
    w_dim=16,
    mapping_layers=2,
    encoder_width=8,
    batch=4,
    rate=5e-3,
    heads_rate=5e-3,
    warm_kimg=0.001,
    average_kimg=0.03,
    bank=64,
    fresh=8,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    faces, packed = tmp_path_factory.mktemp("faces") / "f", tmp_path_factory.mktemp("packed")
    write_faces(faces)
    pack_faces([faces], packed)
    write_features(packed)
    return packed


@pytest.fixture
def begin(data: Path, tmp_path: Path) -> Callable[..., Run]:
    def made(config: AdversarialConfig = CONFIG, folder: str = "run", seed: int = 0) -> Run:
        torch.manual_seed(seed)
        pack = read_pack(data, size=config.resolution)
        pictures = Pictures(pack, torch.ones(len(pack)), CPU)
        networks = build(config, CPU)
        training = Training(config, networks, pictures, frozen_features(data), seed)
        return Run(training, tmp_path / folder)

    return made


def advance(going: Run, steps: int) -> dict[str, float]:
    limits = Limits(kimg=1.0)
    for _ in range(steps):
        going.advance(limits)
    return going.training.figures()


def test_the_heads_learn_to_tell_photos_from_a_generator_that_does_not_learn(
    begin: Callable[..., Run],
) -> None:
    going = begin(replace(CONFIG, rate=0.0))
    first = advance(going, 2)
    advance(going, 10)
    last = advance(going, 6)
    assert last["heads"] < 0.5 * first["heads"]
    assert min(last["real_told"], last["fake_told"]) > 0.75


def test_samples_come_nearer_to_the_photos_and_encoded_photos_to_themselves(
    begin: Callable[..., Run],
) -> None:
    going = begin()
    photos = small(going.training.pictures.images / 127.5 - 1).double().numpy()

    def apart() -> float:
        with torch.no_grad():
            z = torch.randn(64, CONFIG.w_dim, generator=torch.Generator().manual_seed(0))
            drawn = small(fitted(going.training).generator(z)).double().numpy()
        return frechet_distance(drawn, photos)

    before, first = apart(), advance(going, 4)
    advance(going, 20)
    last = advance(going, 6)
    assert apart() < 0.7 * before
    assert last["pixels"] < 0.7 * first["pixels"]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(begin: Callable[..., Run]) -> None:
    whole = begin()
    expected = advance(whole, 6)
    stopped = begin(folder="stopped")
    limits = Limits(kimg=1.0)
    for _ in range(3):
        stopped.advance(limits)
    stopped.save()
    again = begin(folder="stopped", seed=99)
    assert again.resume()
    assert again.images == 3 * CONFIG.batch
    assert advance(again, 3) == pytest.approx(expected, rel=1e-5)
    for a, b in zip(
        _tensors(whole.training.state()), _tensors(again.training.state()), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    assert torch.equal(whole.training.rng.get_state(), again.training.rng.get_state())


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state.float()]
    parts = state.values() if isinstance(state, dict) else state
    return [
        tensor
        for part in (parts if isinstance(state, dict | list | tuple) else [])
        for tensor in _tensors(part)
    ]


def test_a_run_ends_at_its_limit_and_its_results_are_the_projects_networks(
    begin: Callable[..., Run],
) -> None:
    going, told = begin(), list[str]()
    run(going, Limits(kimg=0.012), told.append)
    assert going.images == 12
    assert "kimg 0.012" in told[-1]
    results = going.folder / "results"
    history = json.loads((results / "log.json").read_text())
    assert history[-1]["kimg"] == 0.012
    assert (results / "sheet.jpg").stat().st_size > 1000

    generator, encoder = read_drawing(results)
    photos = going.training.pictures.images[:3].float() / 127.5 - 1
    with torch.no_grad():
        stored = generator.synthesis(encoder.ws(photos, generator.num_ws))
        average = going.training.networks.average
        kept = average.generator.synthesis(average.ws(photos))
    assert torch.allclose(stored, kept, atol=0.03)
    again = build(CONFIG, CPU, results)
    heads = going.training.networks.heads.state_dict()
    for name, tensor in again.heads.state_dict().items():
        assert torch.allclose(tensor, heads[name], atol=1e-3), name


def test_a_limit_of_seconds_counts_what_was_spent_before_a_stop(begin: Callable[..., Run]) -> None:
    going = begin()
    advance(going, 2)
    spent = going.seconds
    going.save()
    again = begin()
    again.resume()
    assert again.seconds == spent > 0
    assert again.progress(Limits(seconds=spent)) == 1


def test_large_networks_are_stored_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.adversarial.storing.PART", 1000)
    tensors = {f"t{i:02d}": torch.full((100,), float(i)) for i in range(12)}
    store(tmp_path, "net", tensors)
    assert len(list(tmp_path.iterdir())) == 3
    found = read_stored(tmp_path, "net")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    with pytest.raises(NothingStored, match="other"):
        read_stored(tmp_path, "other")


def test_rates_rise_then_fall_at_the_end() -> None:
    config = AdversarialConfig(rate=1.0, warm_kimg=1.0, steady=0.5, last=0.1)
    assert rates(config, 500, 0.1).generator == pytest.approx(0.5)
    assert rates(config, 5000, 0.5).generator == pytest.approx(1.0)
    assert rates(config, 5000, 0.75).generator == pytest.approx(0.55)
    assert rates(config, 5000, 1.0).generator == pytest.approx(0.1)
    assert rates(config, 5000, 1.0).heads == pytest.approx(0.1 * config.heads_rate)
    assert rates(config, 0, 0.0).kept < rates(config, 50_000, 0.5).kept < 1


class _NothingReadBack(TorchDispatchMode):
    """Refuses what would make the host wait for the device, which a captured graph cannot hold."""

    WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "lift_fresh")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert not any(name.startswith(wait) for wait in self.WAITS), f"{name} waits"
        return func(*args, **(kwargs or {}))


def test_an_iteration_reads_nothing_back_from_the_device(begin: Callable[..., Run]) -> None:
    training = begin().training
    training.step()
    training.dtype = torch.bfloat16  # as on a GPU
    training.features.to(torch.bfloat16)
    with _NothingReadBack():  # type: ignore[no-untyped-call]
        training.step()
    assert all(np.isfinite(list(training.figures().values())))


def test_phases_draw_what_the_generator_draws() -> None:
    generator = tiny_generator(32)
    for _, layer in generator.synthesis.layers():
        layer.noise_strength.zero_()
    ws = torch.randn(2, generator.num_ws, generator.w_dim, generator=torch.Generator())
    wanted = generator.synthesis(ws, noise_mode="none")
    drawn = by_phases(generator, ws, torch.float32, torch.Generator())
    assert torch.allclose(drawn, wanted, atol=1e-4)
    weight, x = torch.randn(5, 3, 3, 3), torch.randn(2, 3, 6, 6)
    phases = torch.nn.functional.conv2d(x, phase_weight(weight), padding=1)
    assert torch.allclose(interleaved(phases), literal_bilinear_phases(x, weight), atol=1e-4)


def test_noise_of_phases_has_the_strength_of_the_layer() -> None:
    generator = tiny_generator(32)
    ws = torch.randn(1, generator.num_ws, generator.w_dim, generator=torch.Generator())
    ws = ws.expand(48, -1, -1)
    literal = generator.synthesis(ws, noise_mode="random", rng=torch.Generator())
    drawn = by_phases(generator, ws, torch.float32, torch.Generator())
    assert float(drawn.std(dim=0).mean()) == pytest.approx(
        float(literal.std(dim=0).mean()), rel=0.1
    )


def test_the_bank_samples_the_latents_mean_and_covariance() -> None:
    bank = LatentBank(256, 8, 3, CPU)
    rng = torch.Generator().manual_seed(0)
    bank.latents = torch.randn(256, 3, generator=rng) @ torch.randn(3, 3, generator=rng) + 5
    drawn = bank.sample(20_000, rng)
    assert torch.allclose(drawn.mean(dim=0), bank.latents.mean(dim=0), atol=0.1)
    covariance = torch.cov(bank.latents.t())
    assert torch.allclose(torch.cov(drawn.t()), covariance, atol=0.05 * float(covariance.max()))


def test_mixed_styles_change_from_one_layer_on() -> None:
    w, other = torch.zeros(200, 2), torch.ones(200, 2)
    ws = mixed(w, other, 6, 0.5, torch.Generator().manual_seed(0))
    assert (ws[:, 0] == 0).all()
    assert (ws.diff(dim=1) >= 0).all()
    assert 0.4 < float(ws[:, -1].mean()) < 0.6


def test_a_grown_and_wider_network_begins_with_the_smaller_ones_picture(tmp_path: Path) -> None:
    narrow = tiny_generator(16, channel_base=128)
    config = replace(CONFIG, resolution=32)
    wide = build(config, CPU).live.generator
    grow(wide, narrow.state_dict())
    w = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    wanted = narrow.synthesis(to_ws(w, narrow.num_ws), noise_mode="none")
    with torch.no_grad():
        drawn = wide.synthesis(to_ws(w, wide.num_ws), noise_mode="none")
    assert wide.config.channels[2] > narrow.config.channels[2]
    assert torch.allclose(drawn, upsample(wanted), atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("faces.npz", "tools.adversarial.packing"),
        ("features.bin", "features.bin is missing"),
        ("start", "no generator.0.safetensors"),
        ("batch", "batch must be even"),
        ("look", "look must be one of (32, 64, 128, 256), is 900"),
    ],
)
def test_a_folder_that_lacks_something_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str, message: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for path in data.iterdir():
        if path.name != spoil:
            (folder / path.name).write_bytes(path.read_bytes())
    options = ["--start", str(tmp_path)] if spoil == "start" else []
    options += ["--batch", "3"] if spoil == "batch" else []
    options += ["--look", "900"] if spoil == "look" else []
    with pytest.raises(SystemExit) as stopped:
        main([str(folder), "--run", str(tmp_path / "run"), "--kimg", "0.001", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
