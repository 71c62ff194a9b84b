"""Foreign generator files: every layout read, every wrong file refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stylegan2.checkpoint import save_generator
from stylegan2.formats.convert import (
    UnsupportedNetwork,
    WeightsInvalid,
    load_network,
    read_foreign,
)
from stylegan2.formats.layouts import ForeignWeights
from stylegan2.generator import Generator, GeneratorConfig
from stylegan2.hashing import file_sha256
from tests import checkpoint_makers as make
from tests import literal_layouts as literal
from tests.checkpoint_makers import CONFIG, write
from tests.factories import tiny_generator

WIDER = GeneratorConfig(32, z_dim=4, w_dim=6, mapping_layers=3, channels=(3, 4, 5, 6))


def assert_tensors(generator: Generator, wanted: dict[str, Tensor]) -> None:
    got = generator.state_dict()
    assert got.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(got[name], tensor), name


def latents(config: GeneratorConfig) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    z = torch.randn(2, config.z_dim, generator=rng, dtype=torch.float64)
    ws = torch.randn(2, config.num_ws, config.w_dim, generator=rng, dtype=torch.float64)
    return z, ws


# ---------------------------------------------------------------------------------------------
# What can be read


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("config", [CONFIG, WIDER], ids=["16px", "32px"])
def test_ada_pickle_gives_the_averaged_generator(
    tmp_path: Path, config: GeneratorConfig, protocol: int
) -> None:
    tensors = make.random_tensors(config)
    path = write(tmp_path, "network.pkl", make.ada_pickle(tensors, protocol=protocol))
    generator = load_network(path)
    assert_tensors(generator, tensors)
    assert generator.config == config
    assert not generator.training and not any(p.requires_grad for p in generator.parameters())


def test_clamp_of_the_layers_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "n.pkl", make.ada_pickle(make.random_tensors(), conv_clamp=256))
    assert load_network(path).config.conv_clamp == 256.0


def test_clamp_of_the_constructor_counts_where_layers_have_none(tmp_path: Path) -> None:
    with make.stub_modules(**make.STUBS):
        module = make.nvidia_module(make.random_tensors(), conv_clamp=12.5)
        for part in module.modules():
            part.__dict__.pop("conv_clamp", None)
        content = make.torch_save(module)
    assert load_network(write(tmp_path, "n.pt", content)).config.conv_clamp == 12.5


def test_mapping_trained_with_another_learning_rate_gives_the_same_w(tmp_path: Path) -> None:
    tensors = make.random_tensors()
    path = write(tmp_path, "n.pkl", make.ada_pickle(tensors, learning_rate=0.02))
    usual = write(tmp_path, "usual.pkl", make.ada_pickle(tensors))
    faster, normal = load_network(path), load_network(usual)
    ours, usual_ones = faster.state_dict(), normal.state_dict()
    for name in ("mapping.fc0.weight", "mapping.fc1.bias"):
        torch.testing.assert_close(ours[name], 2 * usual_ones[name])


@pytest.mark.parametrize("zipped", [True, False])
def test_tuned_module_of_pti_is_read(tmp_path: Path, zipped: bool) -> None:
    tensors = make.random_tensors(seed=4)
    path = write(tmp_path, "model_ABC_photo.pt", make.pti_file(tensors, zipped=zipped))
    assert_tensors(load_network(path), tensors)


@pytest.mark.parametrize("zipped", [True, False])
def test_state_dict_under_nvidias_names_is_read(tmp_path: Path, zipped: bool) -> None:
    tensors = make.random_tensors(seed=5)
    stored = {**tensors, "synthesis.b8.conv0.resample_filter": make.fir_filter()}
    path = write(tmp_path, "state.pt", make.torch_save(stored, zipped=zipped))
    assert_tensors(load_network(path), tensors)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.bfloat16])
def test_other_precisions_become_single(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in make.random_tensors().items()}
    path = write(tmp_path, "state.pt", make.torch_save(tensors))
    assert_tensors(load_network(path), {name: t.float() for name, t in tensors.items()})


@pytest.mark.parametrize(("zipped", "protocol"), [(True, 2), (False, 2)])
@pytest.mark.parametrize("config", [CONFIG, WIDER], ids=["16px", "32px"])
def test_rosinality_file_is_the_same_function(
    tmp_path: Path, config: GeneratorConfig, zipped: bool, protocol: int
) -> None:
    state, mean = make.rosinality_tensors(config), torch.randn(config.w_dim)
    path = write(tmp_path, "550000.pt", make.rosinality_file(state, mean, zipped=zipped))
    generator = load_network(path).double()
    assert generator.config == config
    torch.testing.assert_close(generator.mapping.w_avg, mean.double())
    z, ws = latents(config)
    doubles = {name: tensor.double() for name, tensor in state.items()}
    torch.testing.assert_close(generator.mapping(z), literal.rosinality_mapping(doubles, z))
    picture = literal.rosinality_synthesis(doubles, ws)
    torch.testing.assert_close(generator.synthesis(ws), picture, rtol=1e-6, atol=1e-6)


def test_rosinality_file_without_mean_or_noise_gets_both_and_says_so(tmp_path: Path) -> None:
    state = make.rosinality_tensors()
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("noises.")}
    path = write(tmp_path, "train.pt", make.rosinality_file(bare, None))
    notices: list[str] = []
    generator = load_network(path, on_notice=notices.append)
    assert len(notices) == 3 and "g_ema is taken, not g" in notices[0]
    assert "mean" in notices[1] and "noise" in notices[2]
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    torch.testing.assert_close(
        generator.mapping.w_avg, generator.mapping(z).mean(0), atol=0.05, rtol=0.1
    )
    noise = generator.synthesis.noise_consts()["b16.conv1"]
    assert 0.8 < float(noise.std()) < 1.2
    again = load_network(path)
    assert_tensors(again, generator.state_dict())


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("config", [CONFIG, WIDER], ids=["16px", "32px"])
def test_tensorflow_pickle_is_the_same_function(
    tmp_path: Path, config: GeneratorConfig, protocol: int
) -> None:
    variables = make.tensorflow_variables(config)
    content = make.tensorflow_pickle(variables, protocol=protocol)
    if protocol == 2:  # as written by numpy 1, whose core had another name
        content = content.replace(b"numpy._core", b"numpy.core")
    generator = load_network(write(tmp_path, "stylegan2-x-config-f.pkl", content)).double()
    assert generator.config == config
    z, ws = latents(config)
    doubles = {name: torch.from_numpy(value).double() for name, value in variables.items()}
    torch.testing.assert_close(generator.mapping.w_avg, doubles["dlatent_avg"])
    torch.testing.assert_close(generator.mapping(z), literal.tensorflow_mapping(doubles, z))
    picture = literal.tensorflow_synthesis(doubles, ws)
    torch.testing.assert_close(generator.synthesis(ws), picture, rtol=1e-6, atol=1e-6)


def test_tensorflow_options_are_obeyed(tmp_path: Path) -> None:
    variables = make.tensorflow_variables()
    content = make.tensorflow_pickle(variables, conv_clamp=256, mapping_lrmul=0.1)
    generator = load_network(write(tmp_path, "n.pkl", content))
    assert generator.config.conv_clamp == 256.0
    weight = torch.from_numpy(variables["mapping/Dense0/weight"]).t()
    torch.testing.assert_close(generator.state_dict()["mapping.fc0.weight"], 10 * weight)


def test_network_without_noise_renders_the_same(tmp_path: Path) -> None:
    tensors = make.random_tensors()
    quiet = {name: tensor for name, tensor in tensors.items() if "noise" not in name}
    with_noise = load_network(write(tmp_path, "a.pkl", make.ada_pickle(tensors)))
    without = load_network(write(tmp_path, "b.pkl", make.ada_pickle(quiet)))
    ws = torch.randn(1, 6, 8)
    assert torch.equal(without.synthesis(ws), with_noise.synthesis(ws, noise_mode="none"))


def test_our_own_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    generator = tiny_generator(16, conv_clamp=7.0)
    path = tmp_path / "network.pkl"
    save_generator(generator, path)
    loaded = load_network(path)
    assert_tensors(loaded, generator.state_dict())
    assert loaded.config.conv_clamp == 7.0


# ---------------------------------------------------------------------------------------------
# Generators that lie elsewhere in their file


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


PLACES: dict[str, Callable[[Any], Any]] = {
    "module": lambda g: prefixed("module.", g),
    "generator": lambda g: {"generator": g, "discriminator": {"a.weight": torch.ones(2)}},
    "params": lambda g: {"params": g, "iteration": 5},
    "state dict with a prefix": lambda g: {"state_dict": prefixed("G.", g), "epoch": 1},
    "list": lambda g: [{"lr": 0.1}, g],
    "deep": lambda g: {"checkpoint": {"models": [{"netG": prefixed("module.", g)}]}},
    "beside others": lambda g: {**prefixed("g.", g), "d.conv.weight": torch.ones(1, 1, 3, 3)},
    "among others": lambda g: {**g, "augment.weight": torch.ones(3)},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", ["nvidia", "rosinality"])
def test_a_generator_is_found_wherever_it_lies(tmp_path: Path, layout: str, place: str) -> None:
    tensors = make.random_tensors() if layout == "nvidia" else make.rosinality_tensors()
    plain = tensors if layout == "nvidia" else {"g_ema": tensors}
    wanted = load_network(write(tmp_path, "plain.pt", make.torch_save(plain)))
    path = write(tmp_path, "network.pt", make.torch_save(PLACES[place](tensors)))
    notices: list[str] = []
    assert_tensors(load_network(path, on_notice=notices.append), wanted.state_dict())
    assert not any("generators" in notice for notice in notices)


SEVERAL: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "params": (lambda g, ema: {"params": g, "params_ema": ema}, "params_ema is taken, not params"),
    "G": (lambda g, ema: {"G": g, "G_ema": ema}, "G_ema is taken, not G"),
    "ema": (lambda g, ema: {"model": {"gen": g}, "ema": {"gen": ema}}, "ema.gen is taken"),
    "prefixes": (
        lambda g, ema: {"state_dict": {**prefixed("g.", g), **prefixed("g_ema.", ema)}},
        r"state_dict\.g_ema is taken, not state_dict\.g",
    ),
    "no average": (lambda g, ema: {"schema": ema, "netG": g}, "schema is taken, not netG"),
    "list": (lambda g, ema: [ema, g], r"\[0\] is taken, not \[1\]"),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_of_several_generators_the_average_is_taken_and_named(tmp_path: Path, case: str) -> None:
    arrange, message = SEVERAL[case]
    snapshot, average = make.random_tensors(seed=1), make.random_tensors(seed=2)
    path = write(tmp_path, "n.pt", make.torch_save(arrange(snapshot, average)))
    notices: list[str] = []
    assert_tensors(load_network(path, on_notice=notices.append), average)
    assert len(notices) == 1 and re.search(f"holds 2 generators; {message}", notices[0])


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("config", [CONFIG, WIDER], ids=["16px", "32px"])
def test_the_decoder_of_psp_e4e_and_restyle_is_a_network(
    tmp_path: Path, config: GeneratorConfig, parallel: bool
) -> None:
    state, mean = make.rosinality_tensors(config), torch.randn(config.w_dim)
    path = write(tmp_path, "e4e.pt", make.psp_file(state, mean, parallel=parallel))
    plain = write(tmp_path, "plain.pt", make.rosinality_file(state, mean))
    generator = load_network(path)
    assert_tensors(generator, load_network(plain).state_dict())
    assert generator.config == config
    torch.testing.assert_close(generator.mapping.w_avg, mean)


def test_a_file_that_holds_itself_is_searched_to_an_end(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"more": [{"a": 1}]}
    loop["more"].append(loop)
    with pytest.raises(UnsupportedNetwork, match="no StyleGAN2 generator"):
        load_network(write(tmp_path, "n.pt", make.torch_save(loop)))


@pytest.mark.parametrize("layout", ["nvidia", "rosinality"])
def test_other_layouts_are_read_from_safetensors_too(tmp_path: Path, layout: str) -> None:
    tensors = make.random_tensors() if layout == "nvidia" else make.rosinality_tensors()
    plain = tensors if layout == "nvidia" else {"g_ema": tensors}
    wanted = load_network(write(tmp_path, "plain.pt", make.torch_save(plain)))
    path = tmp_path / "network.safetensors"
    save_file(prefixed("generator.", tensors), path)
    assert_tensors(load_network(path), wanted.state_dict())


# ---------------------------------------------------------------------------------------------
# What is refused


def nvidia(**options: Any) -> bytes:
    return make.ada_pickle(make.random_tensors(), **options)


def tensorflow(**options: Any) -> bytes:
    return make.tensorflow_pickle(make.tensorflow_variables(), **options)


def with_tensor(name: str, *shape: int) -> bytes:
    return make.ada_pickle({**make.random_tensors(), name: torch.ones(shape)})


def without_tensor(name: str) -> bytes:
    return make.ada_pickle({n: t for n, t in make.random_tensors().items() if n != name})


Cases = dict[str, tuple[Callable[[], bytes], str]]

UNSUPPORTED: Cases = {
    "stylegan3": (make.stylegan3_pickle, "StyleGAN3"),
    "labels": (lambda: nvidia(c_dim=10), "class-conditional"),
    "resnet": (lambda: nvidia(architecture="resnet"), "'resnet'"),
    "resnet by weights": (lambda: with_tensor("synthesis.b8.skip.weight", 5, 6, 1, 1), "resnet"),
    "orig by weights": (lambda: without_tensor("synthesis.b4.torgb.weight"), "orig"),
    "activation": (lambda: nvidia(activation="relu"), "'relu'"),
    "filter": (lambda: nvidia(taps=(1, 2, 2, 1)), r"\[1,3,3,1\]"),
    "longer filter": (lambda: nvidia(taps=(1, 3, 3, 3, 1)), r"\[1,3,3,1\]"),
    "tf labels": (lambda: tensorflow(label_size=10), "class-conditional"),
    "tf labels beside z": (
        lambda: make.tensorflow_pickle(
            {
                **make.tensorflow_variables(),
                "mapping/LabelConcat/weight": np.ones((10, 8), np.float32),
            }
        ),
        "class-conditional",
    ),
    "tf architecture": (lambda: tensorflow(architecture="resnet"), "'resnet'"),
    "tf filter": (lambda: tensorflow(resample_kernel=[1, 1]), r"\[1,3,3,1\]"),
    "tf stylegan1": (lambda: tensorflow(version=3), "before StyleGAN2"),
    "other dict": (lambda: make.torch_save({"state_dict": {"a": torch.ones(1)}}), "no StyleGAN2"),
    "one tensor": (lambda: make.torch_save(torch.ones(1, 6, 8)), "no StyleGAN2"),
    "grey": (
        lambda: make.ada_pickle(make.random_tensors(GeneratorConfig(16, 4, 4, 1, (4, 4, 4), 1))),
        "1 channels",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_networks_of_another_kind_are_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = UNSUPPORTED[case]
    path = write(tmp_path, "network.pkl", content())
    with pytest.raises(UnsupportedNetwork, match=message) as error:
        load_network(path, cache=tmp_path / "cache")
    assert str(path) in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


def blur_of_another_kind() -> bytes:
    state = make.rosinality_tensors()
    state["convs.0.conv.blur.kernel"] = make.fir_filter((1, 2, 2, 1), gain=4.0)
    return make.rosinality_file(state, torch.zeros(8))


def test_rosinality_blur_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedNetwork, match=r"blur.*\[1,3,3,1\]"):
        load_network(write(tmp_path, "n.pt", blur_of_another_kind()))


INVALID: Cases = {
    "a missing tensor": (lambda: without_tensor("synthesis.b8.conv1.bias"), "conv1.bias"),
    "a surplus tensor": (lambda: with_tensor("synthesis.b8.conv1.extra", 3), "conv1.extra"),
    "a shape": (lambda: with_tensor("synthesis.b8.conv1.weight", 5, 4, 3, 3), "conv1.weight"),
    "a NaN": (
        lambda: make.ada_pickle(
            {**make.random_tensors(), "mapping.w_avg": torch.full((8,), torch.nan)}
        ),
        "w_avg.*not finite",
    ),
    "tf variable": (
        lambda: make.tensorflow_pickle(
            {**make.tensorflow_variables(), "synthesis/8x8/Odd/weight": torch.ones(3).numpy()}
        ),
        "8x8/Odd",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, case: str) -> None:
    content, message = INVALID[case]
    path = write(tmp_path, "network.pkl", content())
    with pytest.raises(WeightsInvalid, match=message) as error:
        load_network(path, cache=tmp_path / "cache")
    assert str(path) in str(error.value)
    assert list(tmp_path.iterdir()) == [path]


NOT_NETWORKS = {
    "photo.jpg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a picture"),
    "photo.png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "a picture"),
    "page.pkl": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
    "pointer.pkl": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    "packed.pkl": (b"\x1f\x8b\x08\x00" + bytes(50), "compressed"),
    "text.pkl": (b"hello world", "not a network file"),
    "points.json": (b'{"version": 1, "points": []}', "not a network file"),
}


@pytest.mark.parametrize("name", NOT_NETWORKS)
def test_files_that_are_no_network_are_named(tmp_path: Path, name: str) -> None:
    content, message = NOT_NETWORKS[name]
    with pytest.raises(UnsupportedNetwork, match=message):
        load_network(write(tmp_path, name, content), cache=tmp_path / "cache")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_empty_file_and_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedNetwork, match="folder"):
        load_network(tmp_path)
    with pytest.raises(WeightsInvalid, match="empty"):
        load_network(write(tmp_path, "empty.pkl", b""))
    with pytest.raises(WeightsInvalid, match="does not exist"):
        load_network(tmp_path / "nowhere.pkl")


LAYOUTS: dict[str, Callable[[], bytes]] = {
    "ada": nvidia,
    "pti": lambda: make.pti_file(make.random_tensors()),
    "pti stream": lambda: make.pti_file(make.random_tensors(), zipped=False),
    "tensorflow": tensorflow,
    "rosinality": lambda: make.rosinality_file(make.rosinality_tensors(), torch.zeros(8)),
    "rosinality stream": lambda: make.rosinality_file(
        make.rosinality_tensors(), torch.zeros(8), zipped=False
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_truncated_file_is_named_wherever_it_was_cut(tmp_path: Path, layout: str) -> None:
    content = LAYOUTS[layout]()
    for part in range(1, 40):
        path = write(tmp_path, "cut.pkl", content[: len(content) * part // 40])
        with pytest.raises(WeightsInvalid, match=r"damaged|incomplete|early|missing") as error:
            load_network(path)
        assert str(path) in str(error.value)


def test_safetensors_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    save_generator(tiny_generator(16), path)
    for size in (20, 3000, path.stat().st_size - 1):
        with pytest.raises(WeightsInvalid, match=r"cut\.safetensors"):
            load_network(write(tmp_path, "cut.safetensors", path.read_bytes()[:size]))


# ---------------------------------------------------------------------------------------------
# Kept conversions


def test_foreign_file_is_parsed_once_and_kept_as_safetensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = make.random_tensors()
    path = write(tmp_path, "n.pkl", make.ada_pickle(tensors, conv_clamp=9.0))
    cache = tmp_path / "cache"
    parsed: list[Path] = []

    def count(source: Path) -> ForeignWeights:
        parsed.append(source)
        return read_foreign(source)

    monkeypatch.setattr("stylegan2.formats.convert.read_foreign", count)
    first = load_network(path, cache=cache)
    renamed = path.rename(tmp_path / "other name.pkl")
    second = load_network(renamed, cache=cache)
    assert parsed == [path]
    assert [kept.name.split("-")[0] for kept in cache.iterdir()] == [file_sha256(renamed)]
    assert_tensors(second, first.state_dict())
    assert second.config == first.config


def test_changed_file_of_the_same_name_is_parsed_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for seed in (1, 2):
        tensors = make.random_tensors(seed=seed)
        path = write(tmp_path, "n.pkl", make.ada_pickle(tensors))
        assert_tensors(load_network(path, cache=cache), tensors)
    assert len(list(cache.iterdir())) == 2


def test_damaged_kept_conversion_is_made_again_with_a_notice(tmp_path: Path) -> None:
    tensors = make.random_tensors()
    path, cache = write(tmp_path, "n.pkl", make.ada_pickle(tensors)), tmp_path / "cache"
    load_network(path, cache=cache)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:1000])
    notices: list[str] = []
    assert_tensors(load_network(path, cache=cache, on_notice=notices.append), tensors)
    assert len(notices) == 1 and "again" in notices[0]
    assert_tensors(load_network(kept), tensors)


def test_one_flipped_byte_in_a_kept_conversion_is_found(tmp_path: Path) -> None:
    tensors = make.random_tensors()
    path, cache = write(tmp_path, "n.pkl", make.ada_pickle(tensors)), tmp_path / "cache"
    load_network(path, cache=cache)
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    content[-6] ^= 1
    kept.write_bytes(content)
    assert_tensors(load_network(path, cache=cache), tensors)


def test_cache_that_cannot_be_written_costs_only_a_notice(tmp_path: Path) -> None:
    path = write(tmp_path, "n.pkl", make.ada_pickle(make.random_tensors()))
    blocked = write(tmp_path, "blocked", b"a file where the cache should be")
    notices: list[str] = []
    load_network(path, cache=blocked, on_notice=notices.append)
    assert len(notices) == 1 and "could not be kept" in notices[0]
