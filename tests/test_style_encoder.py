"""Encoders of pSp and e4e in a network's file, against an independent reckoning in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from inversion.nearest import nearer
from inversion.perceptual import OfflineDistance
from inversion.style_encoder import StyleEncoder, read_style_encoder
from pipeline.failures import OK
from pipeline.machine.bench import Bench
from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.convert import load_network
from stylegan2.latents import to_ws
from tests import checkpoint_makers as make
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import QUICK_INVERT, QUICK_STEPS, Case
from tests.test_stages import current

Maps = npt.NDArray[np.float64]

MEAN = torch.linspace(-1, 1, 8)


# ---------------------------------------------------------------------------------------------
# The reckoning: maps are [C, H, W], no batch, one tap of a kernel after the other


class Reckoning:
    """The papers' encoder, written out with NumPy."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.own = {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def convolve(self, x: Maps, name: str, stride: int = 1) -> Maps:
        kernel = self.own[f"{name}.weight"]
        edge = kernel.shape[2] // 2
        padded = np.pad(x, [(0, 0), (edge, edge), (edge, edge)])
        height, width = x.shape[1:]
        result = np.zeros((kernel.shape[0], height, width))
        for a in range(kernel.shape[2]):
            for b in range(kernel.shape[3]):
                part = padded[:, a : a + height, b : b + width]
                result += np.tensordot(kernel[:, :, a, b], part, axes=1)
        if f"{name}.bias" in self.own:
            result += self.own[f"{name}.bias"][:, None, None]
        return np.asarray(result[:, ::stride, ::stride])

    def normalize(self, x: Maps, name: str) -> Maps:
        mean, variance, weight, bias = (
            self.own[f"{name}.{what}"][:, None, None]
            for what in ("running_mean", "running_var", "weight", "bias")
        )
        return np.asarray((x - mean) / np.sqrt(variance + 1e-5) * weight + bias)

    def prelu(self, x: Maps, name: str) -> Maps:
        return np.where(x < 0, x * self.own[f"{name}.weight"][:, None, None], x)

    def unit(self, x: Maps, name: str, stride: int) -> Maps:
        layer = f"{name}.res_layer"
        y = self.convolve(self.normalize(x, f"{layer}.0"), f"{layer}.1")
        y = self.convolve(self.prelu(y, f"{layer}.2"), f"{layer}.3", stride)
        y = self.normalize(y, f"{layer}.4")
        mean = y.mean(axis=(1, 2))
        inner = np.maximum(self.own[f"{layer}.5.fc1.weight"][:, :, 0, 0] @ mean, 0)
        outer = self.own[f"{layer}.5.fc2.weight"][:, :, 0, 0] @ inner
        y = y * (1 / (1 + np.exp(-outer)))[:, None, None]
        if f"{name}.shortcut_layer.0.weight" in self.own:
            x = self.convolve(x, f"{name}.shortcut_layer.0", stride)
            return np.asarray(y + self.normalize(x, f"{name}.shortcut_layer.1"))
        return np.asarray(y + x[:, ::stride, ::stride])

    @staticmethod
    def doubled(x: Maps) -> Maps:
        """Double bilinearly, corner pixels on corner pixels."""
        side = x.shape[1]
        places = np.linspace(0, side - 1, 2 * side)
        matrix = np.maximum(1 - np.abs(places[:, None] - np.arange(side)), 0)
        return np.asarray(np.einsum("ih,chw,jw->cij", matrix, x, matrix))

    def head(self, x: Maps, name: str) -> npt.NDArray[np.float64]:
        step = 0
        while x.shape[1] > 1:
            x = self.convolve(x, f"{name}.convs.{2 * step}", 2)
            x = np.where(x < 0, 0.01 * x, x)
            step += 1
        weight, bias = (self.own[f"{name}.linear.{what}"] for what in ("weight", "bias"))
        found: npt.NDArray[np.float64] = weight @ x[:, 0, 0] / math.sqrt(len(x)) + bias
        return found

    def heads(self, picture: Maps) -> npt.NDArray[np.float64]:
        x = self.normalize(self.convolve(picture, "input_layer.0"), "input_layer.1")
        x = self.prelu(x, "input_layer.2")
        levels = []
        for number in range(8):
            x = self.unit(x, f"body.{number}", 2 if number % 2 == 0 else 1)
            levels.append(x)
        coarse = levels[7]
        middle = self.doubled(coarse) + self.convolve(levels[5], "latlayer1")
        fine = self.doubled(middle) + self.convolve(levels[3], "latlayer2")
        read = (coarse, coarse, middle, middle, fine, fine)
        return np.stack([self.head(x, f"styles.{i}") for i, x in enumerate(read)])


def face() -> Tensor:
    rng = torch.Generator().manual_seed(5)
    small = torch.rand(1, 3, 9, 9, generator=rng) * 2 - 1
    return torch.nn.functional.interpolate(small, size=(256, 256), mode="bicubic").clamp(-1, 1)


def e4e_file(folder: Path, kind: str = "Encoder4Editing", **options: bool) -> Path:
    content = make.psp_file(
        make.rosinality_tensors(), MEAN, encoder=make.style_encoder_tensors(), kind=kind, **options
    )
    return make.write(folder, "e4e.pt", content)


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("kind", ["Encoder4Editing", "GradualStyleEncoder"])
def test_the_files_encoder_gives_what_the_reckoning_gives(
    tmp_path: Path, kind: str, parallel: bool
) -> None:
    encoder = read_style_encoder(e4e_file(tmp_path, kind, parallel=parallel))
    assert encoder is not None
    heads = Reckoning(make.style_encoder_tensors()).heads(face()[0].double().numpy())
    if kind == "Encoder4Editing":
        heads = np.concatenate([heads[:1], heads[:1] + heads[1:]])
    wanted = torch.from_numpy(heads + MEAN.double().numpy())
    found = encoder.ws(face(), 6)[0]
    assert float(wanted.std(dim=0).min()) > 0.1, "its layers differ"
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_larger_face_is_looked_at_in_256_pixels(tmp_path: Path) -> None:
    encoder = read_style_encoder(e4e_file(tmp_path))
    assert encoder is not None
    twice = face().repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(encoder.ws(twice, 6), encoder.ws(face(), 6), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "kind", ["BackboneEncoderUsingLastLayerIntoW", "ProgressiveBackboneEncoder"]
)
def test_encoders_of_other_kinds_are_left_alone(tmp_path: Path, kind: str) -> None:
    path = e4e_file(tmp_path, kind)
    assert read_style_encoder(path) is None
    assert load_network(path).num_ws == 6, "the decoder is a network all the same"


def test_files_without_an_encoder_have_none(tmp_path: Path) -> None:
    plain = make.rosinality_file(make.rosinality_tensors(), MEAN)
    for name, content in (
        ("plain.pt", plain),
        ("ada.pkl", make.ada_pickle(make.random_tensors())),
        ("words", b"no network"),
    ):
        assert read_style_encoder(make.write(tmp_path, name, content)) is None


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.pop(name)


def misshapen(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.update({name: torch.ones(7, 7, 3, 3)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("styles.5.linear.weight"), "5 heads, the generator takes 6"),
        (without("body.3.res_layer.4.running_var"), "running_var is missing"),
        (without("body.6.shortcut_layer.0.weight"), "changes the width and has no way around"),
        (without("styles.2.convs.0.weight"), "styles.2 has|convs.2.weight has the shape"),
        (misshapen("latlayer1.weight"), "latlayer1.weight has the shape"),
        (misshapen("body.1.res_layer.1.weight"), "body.1.res_layer.1.weight has the shape"),
    ],
)
def test_an_encoder_that_does_not_fit_together_is_named(
    damage: Callable[[dict[str, Tensor]], object], words: str
) -> None:
    tensors = make.style_encoder_tensors()
    damage(tensors)
    with pytest.raises(WeightsInvalid, match=words):
        StyleEncoder(tensors, None, True).ws(face(), 6)


def test_the_nearer_of_two_latents_is_told_by_their_pictures() -> None:
    generator, perceptual = tiny_generator(32), OfflineDistance()
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    one, other = generator.mapping(z).split(1)
    target = generator.synthesis(to_ws(one, generator.num_ws))
    assert nearer(generator, target, perceptual, to_ws(one, generator.num_ws), other)
    assert not nearer(generator, target, perceptual, other, one)


@pytest.mark.parametrize("comes_nearer", [True, False])
def test_a_projection_starts_from_the_files_encoder_where_that_comes_nearer(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch, comes_nearer: bool
) -> None:
    monkeypatch.setattr("pipeline.stages.invert.nearer", lambda *_: comes_nearer)
    network = e4e_file(case.folder)
    invert = ["invert", str(case.photo), "--network", str(network), *QUICK_INVERT]
    assert run([*invert, "--steps", "0", "--start-samples", "4"]).code == OK
    made = current(case, "invert")
    assert made.info["start"] == ("file's encoder" if comes_nearer else "nearest")
    from pipeline.stages.artifact_files import LATENT, read_target, read_tensors

    pivot = read_tensors(made, LATENT)["w_pivot"]
    encoder = Bench("cpu").style_encoder(str(network))
    assert encoder is not None
    seen = encoder.ws(read_target(current(case, "align"), "cpu"), 6).mean(dim=1)
    assert torch.allclose(pivot, to_ws(seen, 6), atol=1e-5) is comes_nearer


def test_an_encoder_that_cannot_be_used_is_told_and_the_projection_goes_on(
    case: Case, run: Run
) -> None:
    tensors = make.style_encoder_tensors()
    del tensors["latlayer2.weight"]
    content = make.psp_file(make.rosinality_tensors(), MEAN, encoder=tensors)
    network = make.write(case.folder, "e4e.pt", content)
    invert = ["invert", str(case.photo), "--network", str(network), *QUICK_INVERT]
    made = run([*invert, *QUICK_STEPS["invert"]])
    assert made.code == OK and "latlayer2.weight is missing" in made.err
    assert current(case, "invert").info["start"] == "nearest"
