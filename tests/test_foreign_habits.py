"""Habits of those who store networks: what lies beside them, how they are named and laid out."""

from __future__ import annotations

import argparse
import collections
import datetime
import pathlib
import random
import struct
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from stylegan2.formats.convert import UnsupportedNetwork, WeightsInvalid, load_network
from stylegan2.formats.find import MAX_CANDIDATES
from stylegan2.generator import Generator, GeneratorConfig
from tests import checkpoint_makers as make
from tests.checkpoint_makers import write
from tests.foreign_networks import by_rosinality

MEAN = torch.linspace(-1, 1, 8)


def parameter_with_attribute() -> nn.Parameter:
    parameter = nn.Parameter(torch.ones(2))
    parameter.__dict__["is_norm"] = True
    return parameter


BESIDE: dict[str, Any] = {
    "options": argparse.Namespace(folder=pathlib.PurePosixPath("/data"), kind=float),
    "nested options": types.SimpleNamespace(a=[1], size=slice(1, 2), steps=range(3)),
    "scheduler": {"milestones": collections.Counter({100: 1}), "gamma": 0.1},
    "losses": collections.defaultdict(list, a=[1.0]),
    "recent": collections.deque([1.0, 2.0], maxlen=5),
    "started": [datetime.datetime(2020, 1, 1), datetime.timedelta(seconds=3)],
    "random numbers of Python": random.Random(0).getstate(),
    "random numbers of numpy": np.random.RandomState(0).get_state(),
    "random numbers of torch": torch.Generator().get_state(),
    "texts": np.array(["a", "bc"]),
    "objects": np.array([{}, None], dtype=object),
    "a text of numpy": np.str_("x"),
    "a complex number": 1j,
    "bytes": bytearray(b"ab"),
    "a frozen set": frozenset({1, 2}),
    "pairs as keys": {("G", 0): 1},
    "complex tensors": torch.ones(2, dtype=torch.complex64),
    "tensors without a storage of their own kind": torch.ones(2).to(
        getattr(torch, "uint16", torch.int16)
    ),
    "sparse tensors": torch.eye(2).to_sparse(),
    "a parameter with attributes": parameter_with_attribute(),
    "the version of torch": torch.torch_version.TorchVersion("2.0"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("case", BESIDE)
def test_what_a_training_keeps_beside_its_network_is_passed_over(
    tmp_path: Path, case: str, zipped: bool
) -> None:
    state = make.rosinality_tensors()
    content = make.torch_save({"more": BESIDE[case], "g_ema": state}, zipped=zipped)
    plain = load_network(write(tmp_path, "plain.pt", make.torch_save({"g_ema": state})))
    assert_same(load_network(write(tmp_path, "n.pt", content)), plain)


def assert_same(got: Generator, wanted: Generator) -> None:
    own, others = got.state_dict(), wanted.state_dict()
    assert own.keys() == others.keys() and all(torch.equal(own[n], others[n]) for n in own)


@pytest.mark.parametrize(
    ("snapshot", "average"),
    [
        ("generator", "generator_smooth"), ("G", "G_average"), ("netG", "netG_avg"),
        ("generator", "g_running"), ("G", "Gs"), ("model", "shadow"), ("online_model", "ema_model"),
    ],
)  # fmt: skip
def test_averages_are_known_by_the_names_that_trainings_give_them(
    tmp_path: Path, snapshot: str, average: str
) -> None:
    other, wanted = make.random_tensors(seed=1), make.random_tensors(seed=2)
    path = write(tmp_path, "n.pt", make.torch_save({snapshot: other, average: wanted}))
    assert torch.equal(load_network(path).mapping.w_avg, wanted["mapping.w_avg"])


@pytest.mark.parametrize(
    "mean",
    [MEAN, MEAN[None], MEAN.repeat(6, 1), MEAN.repeat(1, 6, 1), MEAN.expand(6, 8),
     MEAN.expand(1, 6, 8)],
    ids=lambda mean: f"{tuple(mean.shape)} {mean.stride()}",
)  # fmt: skip
def test_a_mean_latent_may_stand_there_once_for_each_layer(tmp_path: Path, mean: Tensor) -> None:
    stored = {"g_ema": make.rosinality_tensors(), "latent_avg": mean}
    generator = load_network(write(tmp_path, "n.pt", make.torch_save(stored)))
    torch.testing.assert_close(generator.mapping.w_avg, MEAN)


@pytest.mark.parametrize("kind", ["a list", "safetensors", "pickle", "state dict"])
def test_a_mean_latent_that_is_missing_is_measured(tmp_path: Path, kind: str) -> None:
    state = make.rosinality_tensors()
    bare = {n: t for n, t in make.random_tensors().items() if n != "mapping.w_avg"}
    content = {
        "a list": lambda: make.torch_save({"g_ema": state, "latent_avg": MEAN.tolist()}),
        "safetensors": lambda: save(bare),
        "pickle": lambda: make.ada_pickle(bare),
        "state dict": lambda: make.torch_save(bare),
    }[kind]()
    notices: list[str] = []
    path = write(tmp_path, "n.pt", content)
    generator = load_network(path, on_notice=notices.append)
    assert len(notices) == 1 and "no mean latent" in notices[0]
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(
        generator.mapping.w_avg, generator.mapping(z).mean(0), atol=0.05, rtol=0.1
    )


def test_tensors_that_repeat_one_value_are_read(tmp_path: Path) -> None:
    state = make.rosinality_tensors()
    state["noises.noise_4"] = torch.tensor(0.5).expand(1, 1, 16, 16)
    path = write(tmp_path, "n.pt", make.torch_save({"g_ema": state}))
    generator = load_network(path)
    ws = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1))
    wanted = by_rosinality(state)(ws.double()).float()
    torch.testing.assert_close(generator.synthesis(ws), wanted, rtol=1e-4, atol=1e-4)


def channels(count: int) -> dict[str, Tensor]:
    return make.random_tensors(GeneratorConfig(16, 4, 4, 1, (4, 4, 4), count))


def with_skip() -> dict[str, Tensor]:
    return {**make.random_tensors(), "synthesis.b8.skip.weight": torch.ones(5, 6, 1, 1)}


def without_early_colours() -> dict[str, Tensor]:
    return {n: t for n, t in make.random_tensors().items() if "b4.torgb" not in n}


def with_other_filter() -> dict[str, Tensor]:
    kernel = make.fir_filter((1, 2, 2, 1))
    return {**make.random_tensors(), "synthesis.b8.conv0.resample_filter": kernel}


def stylegan3() -> dict[str, Tensor]:
    freqs, weight = torch.ones(8, 2), torch.ones(8, 8)
    return {"synthesis.input.freqs": freqs, "mapping.fc0.weight": weight}


@pytest.mark.parametrize("prefix", ["", "G_ema."])
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (channels(1), "1 channels; realdrag needs RGB"),
        (channels(4), "4 channels; realdrag needs RGB"),
        (with_skip(), "resnet"),
        (without_early_colours(), "orig"),
        (with_other_filter(), r"\[1,3,3,1\]"),
        (stylegan3(), "StyleGAN3"),
    ],
    ids=["grey", "RGBA", "resnet", "orig", "filter", "StyleGAN3"],
)
def test_networks_of_another_kind_are_refused_whatever_file_they_lie_in(
    tmp_path: Path, tensors: dict[str, Tensor], message: str, kind: str, prefix: str
) -> None:
    named = {f"{prefix}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    content = save(named) if kind == "safetensors" else make.torch_save(named)
    path = write(tmp_path, "n", content)
    with pytest.raises(UnsupportedNetwork, match=message) as error:
        load_network(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("clamp", ["nan", "inf", "-1", "0", "None", ""])
def test_a_clamp_that_cannot_be_is_refused_in_the_metadata(tmp_path: Path, clamp: str) -> None:
    content = save(make.random_tensors(), metadata={"conv_clamp": clamp})
    with pytest.raises(WeightsInvalid, match=r"n\.safetensors: .*conv_clamp"):
        load_network(write(tmp_path, "n.safetensors", content))


def test_a_clamp_that_cannot_be_is_refused_in_a_pickle(tmp_path: Path) -> None:
    content = make.ada_pickle(make.random_tensors(), conv_clamp=-1.0)
    with pytest.raises(WeightsInvalid, match="conv_clamp must be a number above 0"):
        load_network(write(tmp_path, "n.pkl", content))


def test_a_packed_network_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "n.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("network.pkl", make.ada_pickle(make.random_tensors()))
    with pytest.raises(WeightsInvalid, match="unpack it first"):
        load_network(tmp_path / "n.zip")


def test_files_that_would_take_hours_to_search_are_read_to_an_end(tmp_path: Path) -> None:
    anchor = "conv1.conv.modulation.weight"
    many = {f"p{i}.{anchor}": torch.ones(1) for i in range(MAX_CANDIDATES + 1)}
    with pytest.raises(WeightsInvalid, match="more than 100 generators"):
        load_network(write(tmp_path, "n.pt", make.torch_save(many)))
    large = b"}(" + b"".join(b"X" + struct.pack("<I", 5) + b"%05dN" % i for i in range(50_000))
    again = b"\x80\x04](" + large + b"uq\x01" + b"h\x01" * 9_000 + b"e."
    with pytest.raises(UnsupportedNetwork, match="no StyleGAN2 generator"):
        load_network(write(tmp_path, "n.pkl", again))
