"""Directions of styles for words, with a stub in the place of open_clip: no weights are loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import BAD_INPUT, OK
from pipeline.stages.artifact_files import DRAG, read_pixels, read_tensors
from stylegan2.checkpoint import load_generator
from stylegan2.directions import Direction, DirectionsInvalid, typical_w
from stylegan2.formats.direction_files import read_directions, write_directions
from stylegan2.generator import Generator
from stylegan2.latents import sample_w, to_ws
from stylegan2.style_space import restyled, style_shifted, style_sizes, style_spreads
from stylegan2.text_directions import (
    PERTURBATION,
    SENTENCES,
    TRUNCATION_PSI,
    effects_of_styles,
    shift_for,
    text_way,
)
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import SIZE, Case

COLOURS = ("red", "green", "blue")


class Colours:
    """Pictures and words by how red, green and blue they are; the fourth axis is all the rest."""

    def __init__(self) -> None:
        self.seen = 0

    def pictures(self, pictures: Tensor) -> Tensor:
        self.seen += len(pictures)
        mean = pictures.mean(dim=(2, 3))
        return torch.cat([mean, torch.ones(len(mean), 1)], dim=1)

    def words(self, texts: Sequence[str]) -> Tensor:
        rows = [[float(colour in text) for colour in COLOURS] + [1.0] for text in texts]
        return torch.tensor(rows)


@pytest.fixture
def generator() -> Generator:
    return tiny_generator(SIZE)


def some_ws(generator: Generator) -> Tensor:
    return to_ws(sample_w(generator, 1, 5), generator.num_ws)


def styles_of(generator: Generator, ws: Tensor) -> Tensor:
    """Return all styles, spelt out: the i-th layer takes ws[i]."""
    layers = [layer for _, layer in generator.synthesis.layers()]
    return torch.cat([layer.affine(ws[0, i]) for i, layer in enumerate(layers)])


def test_a_copy_with_other_styles_has_those_and_the_generator_keeps_its_own(
    generator: Generator,
) -> None:
    ws = some_ws(generator)
    before = generator.synthesis(ws)
    shift = torch.randn(sum(style_sizes(generator)))
    moved = restyled(generator, shift)
    torch.testing.assert_close(styles_of(moved, ws) - styles_of(generator, ws), shift)
    assert torch.equal(generator.synthesis(ws), before)
    assert not torch.equal(moved.synthesis(ws), before)
    assert torch.equal(restyled(generator, 0 * shift).synthesis(ws), before)
    with pytest.raises(ValueError, match="shift must be"):
        restyled(generator, shift[1:])


def test_spreads_are_those_of_the_styles(generator: Generator) -> None:
    w = typical_w(generator)[:200]
    every = torch.stack([styles_of(generator, to_ws(each[None], generator.num_ws)) for each in w])
    torch.testing.assert_close(style_spreads(generator, w), every.std(dim=0), rtol=1e-3, atol=1e-6)


def test_a_style_is_tried_on_both_sides_and_put_back_to_the_bit(generator: Generator) -> None:
    kept = {name: value.clone() for name, value in generator.state_dict().items()}
    colours = Colours()
    effects = torch.cat(list(effects_of_styles(generator, colours, 1, seed=3)))
    assert all(torch.equal(kept[name], value) for name, value in generator.state_dict().items())
    assert colours.seen == 2 * len(effects) == 2 * sum(style_sizes(generator))
    ws = to_ws(sample_w(generator, 2, 3, TRUNCATION_PSI)[1:], generator.num_ws)
    spreads = style_spreads(generator, typical_w(generator))
    for number in (0, style_sizes(generator)[0] + 1, len(effects) - 1):
        step = torch.zeros(len(effects))
        step[number] = PERTURBATION * spreads[number]
        ends = [
            torch.nn.functional.normalize(
                colours.pictures(restyled(generator, sign * step).synthesis(ws)), dim=1
            )
            for sign in (1, -1)
        ]
        torch.testing.assert_close(effects[number], (ends[0] - ends[1])[0], rtol=1e-3, atol=1e-5)


def test_an_interrupted_trial_leaves_the_style_as_it_was(generator: Generator) -> None:
    ws = some_ws(generator)
    before = generator.synthesis(ws)
    with pytest.raises(KeyboardInterrupt), style_shifted(generator, 2, 1, 4.0):
        assert not torch.equal(generator.synthesis(ws), before)
        raise KeyboardInterrupt
    assert torch.equal(generator.synthesis(ws), before)


def test_words_differ_by_what_they_say_and_equal_words_are_refused() -> None:
    way = text_way(Colours(), "a face", "a red face")
    assert float(way.norm()) == pytest.approx(1)
    assert way[0] > 0.7 and way[3] < 0 and not way[1:3].any()
    assert all(sentence.count("{}") == 1 for sentence in SENTENCES)
    with pytest.raises(DirectionsInvalid, match="mean the same"):
        text_way(Colours(), "a face", "a face")


def test_styles_that_answer_less_than_beta_stay_and_the_first_goes_alpha_deviations() -> None:
    effects = torch.tensor([[2.0, 0.0], [-0.6, 0.8], [0.0, 3.0], [0.1, 1.0]])
    spreads = torch.tensor([0.5, 2.0, 1.0, 1.0])
    shift, moving = shift_for(effects, torch.tensor([1.0, 0.0]), spreads, beta=0.2, alpha=4)
    torch.testing.assert_close(shift, torch.tensor([4 * 0.5, -4 * 0.6 * 2, 0.0, 0.0]))
    assert moving == 2
    with pytest.raises(DirectionsInvalid, match=r"most does by 0\.1\d+: give a smaller beta"):
        shift_for(effects[3:], torch.tensor([1.0, 0.0]), spreads[3:], 0.2, 4)


def test_a_direction_of_styles_comes_back_and_one_of_another_network_is_refused(
    tmp_path: Path, generator: Generator
) -> None:
    count = sum(style_sizes(generator))
    kept = Direction("red", torch.randn(count), (0, 8), about="a face", space="styles")
    path = tmp_path / "d.safetensors"
    write_directions(path, [kept], "abc")
    back = read_directions(path).for_generator(generator)["red"]
    assert torch.equal(back.way, kept.way) and back.space == "styles"
    with pytest.raises(ValueError, match="direction of styles"):
        back.shift(1, 8)
    write_directions(path, [Direction("red", torch.randn(count + 1), (0, 8), space="styles")], "a")
    with pytest.raises(DirectionsInvalid, match=f"this generator has {count}"):
        read_directions(path).for_generator(generator)


class Tokens(list[str]):
    def to(self, device: str) -> Tokens:
        return self


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch) -> Colours:
    """Put a stub of open_clip in its place, as if its weights were there."""
    colours = Colours()
    visual = SimpleNamespace(image_size=16, image_mean=(0.5,) * 3, image_std=(0.5,) * 3)
    model = SimpleNamespace(visual=visual, encode_image=colours.pictures, encode_text=colours.words)
    model.eval = lambda: model
    model.requires_grad_ = lambda on: model
    stub = SimpleNamespace(
        list_pretrained=lambda: [("ViT-B-32", "openai"), ("ViT-B-32", "other")],
        create_model_and_transforms=lambda name, weights, device: (model, None, None),
        get_tokenizer=lambda name: Tokens,
    )
    monkeypatch.setitem(sys.modules, "open_clip", stub)
    monkeypatch.delenv("REALDRAG_OFFLINE")
    return colours


def words(case: Case, target: str, *more: str) -> list[str]:
    asked = ["directions", "text", str(case.network), "a face", target, "--samples", "1"]
    return [*asked, "--beta", "0.05", "--device", "cpu", *more]


def current(case: Case, stage: str) -> Artifact:
    fingerprint = read_sealed(case.workspace / STATE)["current"][stage]
    return read_artifact(case.workspace / "artifacts" / f"{stage}-{fingerprint[:16]}")


def test_a_photo_turns_redder_by_words_and_other_words_need_no_more_pictures(
    finished: Case, clip: Colours, run: Run
) -> None:
    told = run(words(finished, "a red face", "--name", "red"))
    assert told.code == OK, told.err
    assert "styles" in told.out and "a face to a red face" in told.out
    seen = clip.seen
    assert run(words(finished, "a green face")).code == OK
    assert clip.seen == seen > 0
    assert (finished.folder / "a_green_face.safetensors").is_file()
    asked = ["apply", "--directions", "red.safetensors", "--device", "cpu"]
    redder = {}
    for amount in ("-1", "+1"):
        assert run([*asked, f"red={amount}", "--paste", "network"]).code == OK
        drag = current(finished, "drag")
        pixels = read_pixels(drag, "network.png").astype(float)
        redder[amount] = pixels[..., 0].mean() - pixels[..., 1:].mean()
    assert redder["+1"] > redder["-1"] + 1
    ws = read_tensors(drag, DRAG)["ws"]
    way = read_directions(finished.folder / "red.safetensors").for_generator(
        load_generator(finished.network)
    )["red"]
    assert way.space == "styles"
    told = run([*asked, "red=0.5"])
    assert told.code == OK
    assert torch.equal(read_tensors(current(finished, "drag"), DRAG)["ws"], ws)
    told = run([*asked, "red=0.5", "--continue"])
    assert told.code == BAD_INPUT
    assert "latents cannot hold" in told.err
    assert (
        run(["directions", "show", "red.safetensors", "--network", str(finished.network)]).code
        == OK
    )


def test_what_is_missing_for_words_is_said(
    case: Case, clip: Colours, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run(words(case, "a red face", "--clip-weights", "none"))
    assert told.code == BAD_INPUT
    assert "ViT-B-32 has openai, other" in told.err
    told = run(words(case, "a red face", "--beta", "0.999"))
    assert told.code == BAD_INPUT
    assert "give a smaller beta" in told.err
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    assert "REALDRAG_OFFLINE is set" in run(words(case, "a red face")).err
    monkeypatch.setitem(sys.modules, "open_clip", None)
    assert "pip install 'realdrag[text]'" in run(words(case, "a red face")).err
    assert "give --name" in run(words(case, "!!!")).err
    assert not list(case.folder.glob("*red*"))
