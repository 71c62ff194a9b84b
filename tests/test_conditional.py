"""Class-conditional networks, one class at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.disk.workspace import Workspace
from pipeline.failures import OK, WEIGHTS
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from stylegan2.checkpoint import load_generator, save_generator
from stylegan2.formats.classes import ClassNeeded
from stylegan2.formats.convert import UnsupportedNetwork, WeightsInvalid, load_network
from stylegan2.network_names import split_class, with_class
from tests import checkpoint_makers as make
from tests import literal_stylegan2 as literal
from tests.checkpoint_makers import CONFIG
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import QUICK_INVERT, QUICK_STEPS, Case

CLASSES, FEATURES = 3, 5


def conditional_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Draw a generator that reads a class's embedding after z."""
    rng = torch.Generator().manual_seed(seed)
    tensors = make.random_tensors()
    wide = torch.randn(CONFIG.w_dim, CONFIG.z_dim + FEATURES, generator=rng)
    tensors["mapping.fc0.weight"] = 100 * wide
    tensors["mapping.embed.weight"] = torch.randn(FEATURES, CLASSES, generator=rng)
    tensors["mapping.embed.bias"] = torch.randn(FEATURES, generator=rng)
    return tensors


def literal_w(tensors: dict[str, Tensor], z: Tensor, number: int) -> Tensor:
    """Map z for a class: z and its embedding, each normalised, beside each other."""
    label = torch.zeros(len(z), CLASSES)
    label[:, number] = 1
    told = literal.linear(label, tensors["mapping.embed.weight"], tensors["mapping.embed.bias"])
    x = torch.cat([literal.normalize(z), literal.normalize(told)], dim=1)
    for layer in range(CONFIG.mapping_layers):
        name = f"mapping.fc{layer}"
        x = literal.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], 0.01)
        x = literal.activate(x, None)
    return x


def conditional_file(folder: Path, name: str = "classes.pkl") -> Path:
    return make.write(folder, name, make.ada_pickle(conditional_tensors(), c_dim=CLASSES))


@pytest.mark.parametrize("number", range(CLASSES))
@pytest.mark.parametrize("kind", ["pickle", "safetensors"])
def test_a_class_is_mapped_as_the_literal_network_maps_it(
    tmp_path: Path, kind: str, number: int
) -> None:
    tensors = conditional_tensors()
    if kind == "pickle":
        path = conditional_file(tmp_path)
    else:
        path = tmp_path / "classes.safetensors"
        save_file(tensors, path)
    generator = load_network(path, number=number)
    assert generator.config == CONFIG, "it is a network like all others"
    z = torch.randn(4, CONFIG.z_dim, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(
        generator.mapping(z), literal_w(tensors, z, number), rtol=1e-4, atol=1e-5
    )
    # Not the file's mean over all classes.
    many = torch.randn(20_000, CONFIG.z_dim, generator=torch.Generator().manual_seed(8))
    mean = generator.mapping(many).mean(dim=0)
    torch.testing.assert_close(generator.mapping.w_avg, mean, rtol=0.05, atol=0.05)


def test_tensorflows_names_of_the_embedding_are_known(tmp_path: Path) -> None:
    tensors = conditional_tensors()
    variables = make.tensorflow_variables()
    for name, ours in (("LabelEmbed", "embed"), ("Dense0", "fc0"), ("Dense1", "fc1")):
        variables[f"mapping/{name}/weight"] = tensors[f"mapping.{ours}.weight"].t().numpy().copy()
        variables[f"mapping/{name}/bias"] = tensors[f"mapping.{ours}.bias"].numpy()
    content = make.tensorflow_pickle(variables, label_size=CLASSES)
    generator = load_network(make.write(tmp_path, "n.pkl", content), number=1)
    z = torch.randn(4, CONFIG.z_dim, generator=torch.Generator().manual_seed(7))
    wanted = literal_w(tensors, z, 1)
    torch.testing.assert_close(generator.mapping(z), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("number", "words"), [(None, "makes pictures of several classes"), (3, "has no class 3")]
)
def test_without_a_class_or_with_a_wrong_one_it_says_what_there_is(
    tmp_path: Path, number: int | None, words: str
) -> None:
    path = conditional_file(tmp_path)
    with pytest.raises(ClassNeeded, match=f"{path}: the network {words}: choose one from 0 to 2"):
        load_network(path, number=number)
    save_file(conditional_tensors(), tmp_path / "a.safetensors")
    with pytest.raises(ClassNeeded, match="choose one from 0 to 2"):
        load_network(tmp_path / "a.safetensors", number=number)


@pytest.mark.parametrize("kind", ["pickle", "safetensors"])
def test_a_class_of_a_network_that_has_none_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "plain"
    if kind == "pickle":
        path.write_bytes(make.ada_pickle(make.random_tensors()))
    else:
        save_generator(tiny_generator(16), path)
    with pytest.raises(UnsupportedNetwork, match="has no classes: leave out --class"):
        load_network(path, number=0)


@pytest.mark.parametrize("missing", ["embed.bias", "fc0.weight"])
def test_an_incomplete_embedding_is_damage(tmp_path: Path, missing: str) -> None:
    tensors = conditional_tensors()
    del tensors[f"mapping.{missing}"]
    path = make.write(tmp_path, "n.pkl", make.ada_pickle(tensors))
    with pytest.raises(WeightsInvalid, match="mapping network"):
        load_network(path, number=0)


def test_conversions_of_two_classes_are_kept_beside_each_other(tmp_path: Path) -> None:
    path, cache = conditional_file(tmp_path), tmp_path / "cache"
    told: list[str] = []
    loaded = [
        load_network(path, cache=cache, on_notice=told.append, number=number)
        for number in (0, 1, 0, 1)
    ]
    assert len(list(cache.glob("*.safetensors"))) == 2 and not told
    for one, two in ((loaded[0], loaded[2]), (loaded[1], loaded[3])):
        assert torch.equal(one.mapping.w_avg, two.mapping.w_avg)
    assert not torch.equal(loaded[0].mapping.w_avg, loaded[1].mapping.w_avg)


def test_a_class_is_named_after_the_networks_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_class("a.pkl#12") == ("a.pkl", 12)
    assert with_class("a.pkl", 12) == "a.pkl#12" and with_class("a.pkl", None) == "a.pkl"
    for name in ("a.pkl", "#3", "a#", "a#b", "a#-1", "a#³"):
        assert split_class(name) == (name, None)
    Path("a.pkl#12").write_bytes(b"")
    assert split_class("a.pkl#12") == ("a.pkl#12", None), "a file of that name is meant itself"


def test_each_class_is_a_network_of_its_own_and_is_remembered(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = conditional_file(tmp_path)
    first, second = (identify(f"{path}#{number}", Bench("cpu")) for number in (0, 1))
    assert (first.name, second.name) == (f"{path}#0", f"{path}#1")
    assert first.weights != second.weights
    monkeypatch.setattr(Bench, "generator", lambda *_: pytest.fail("it is known already"))
    assert identify(f"{path}#1", Bench("cpu")) == second


def test_a_photo_is_inverted_and_dragged_in_the_class_that_was_asked_for(
    case: Case, run: Run
) -> None:
    network = conditional_file(case.folder)
    invert = ["invert", str(case.photo), "--network", str(network), *QUICK_INVERT]
    refused = run([*invert, *QUICK_STEPS["invert"]])
    assert refused.code == WEIGHTS and "choose one from 0 to 2" in refused.err
    requests = []
    for number in ("0", "2"):
        made = run([*invert, *QUICK_STEPS["invert"], "--class", number])
        assert made.code == OK, made.err
        state = Workspace(case.workspace).read_state()
        assert state is not None
        request = state.request("invert")
        assert request is not None
        assert request.hints["network"] == f"{network}#{number}"
        requests.append(request)
        assert run(case.tune()).code == OK
        assert run(case.drag()).code == OK
    assert requests[0].config["weights"] != requests[1].config["weights"]
    assert requests[0].fingerprint != requests[1].fingerprint


def test_info_counts_the_classes_and_convert_writes_one(
    home: Path, tmp_path: Path, run: Run
) -> None:
    network = conditional_file(tmp_path)
    told = run(["models", "info", str(network)])
    assert told.code == OK and "0 to 2" in told.out
    assert "0 to 2" not in run(["models", "info", f"{network}#1"]).out
    target = tmp_path / "one.safetensors"
    assert run(["models", "convert", str(network), str(target), "--class", "1"]).code == OK
    z = torch.from_numpy(np.ones((1, CONFIG.z_dim), np.float32))
    wanted = literal_w(conditional_tensors(), z, 1)
    torch.testing.assert_close(load_generator(target).mapping(z), wanted, rtol=1e-4, atol=1e-5)
    refused = run(["models", "convert", str(network), str(tmp_path / "no.safetensors")])
    assert refused.code == WEIGHTS and not (tmp_path / "no.safetensors").exists()
