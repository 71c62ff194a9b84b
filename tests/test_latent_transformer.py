"""The baseline of one pass: what it learns, what it reads, and that its training goes on."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.latent_transformer import (
    NAME,
    Asked,
    LatentTransformer,
    TransformerConfig,
    TransformerInvalid,
    by_transformer,
    load_transformer,
    sample_name,
    save_transformer,
    with_transformer,
)
from benchmarks.methods import NO_EDIT, stay
from drag.points import DragPoint
from stylegan2.checkpoint import save_generator, weights_hash
from stylegan2.generator import Generator
from tests.factories import tiny_generator
from tools.train_latent_transformer import Pairs, Training, all_asked, draw_pairs, error_at, main

CONFIG = TransformerConfig(16, 16, 16, moving_ws=6, width=32, heads=2, layers=2)
POINTS = (DragPoint((10.0, 12.0), (13.0, 12.0)), DragPoint((20.0, 20.0), (20.0, 17.0)))


@pytest.fixture(scope="module")
def generator() -> Generator:
    return tiny_generator()


@pytest.fixture(scope="module")
def pairs(generator: Generator) -> Pairs:
    return draw_pairs(generator, CONFIG, 6, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(pairs: Pairs) -> LatentTransformer:
    torch.manual_seed(0)
    training = Training(CONFIG, pairs, 3e-3, 300)
    for _ in range(300):
        training.learn(16, 0)
    return training.average.eval()


def test_it_learns_which_change_of_ws_belongs_to_the_motion(
    pairs: Pairs, trained: LatentTransformer
) -> None:
    torch.manual_seed(0)
    assert error_at(Training(CONFIG, pairs, 3e-3, 1).average, pairs, 32) == pytest.approx(1.0)
    assert error_at(trained, pairs, 32) < 0.5


def test_on_faces_it_knows_it_goes_by_motions_it_has_not_seen(pairs: Pairs) -> None:
    rng = torch.Generator().manual_seed(1)
    ways = torch.randn(2, 16, generator=rng)

    def pulled(times: int) -> Pairs:
        every = {name: values.repeat_interleave(times, dim=0) for name, values in pairs.items()}
        moves = 0.1 * torch.randn(len(every["ws"]), 1, 2, generator=rng)
        every["moves"] = moves.expand_as(every["moves"]).clone()
        every["change"] = (moves @ ways).expand_as(every["change"]).clone()
        return every

    torch.manual_seed(0)
    training = Training(CONFIG, pulled(8), 3e-3, 200)
    for _ in range(200):
        training.learn(16, 0)
    for points in (1, 8):
        assert error_at(training.average.eval(), pulled(1), points) < 0.3


def test_the_order_of_points_and_what_stands_where_there_is_none_do_not_matter(
    pairs: Pairs, trained: LatentTransformer
) -> None:
    asked = all_asked({name: values[:1] for name, values in pairs.items()})
    count = int(asked.known.sum())
    known = torch.arange(asked.known.shape[1])[None] < count // 2
    asked = replace(asked, known=known)
    turned = Asked(
        asked.ws, *(x.flip(1) for x in (asked.features, asked.handles, asked.moves, asked.known))
    )
    noisy = replace(asked, features=torch.where(known[..., None], asked.features, 5.0))
    with torch.no_grad():
        change = trained(asked)
        torch.testing.assert_close(trained(turned), change, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(trained(noisy), change, rtol=1e-4, atol=1e-5)


def test_a_pair_is_read_both_ways(pairs: Pairs) -> None:
    there, back = pairs["change"][0::2], pairs["change"][1::2]
    torch.testing.assert_close(there, -back)
    assert pairs["known"].any(dim=1).all()
    assert torch.isfinite(pairs["moves"]).all() and pairs["moves"].abs().max() > 0


def test_an_edit_changes_the_first_ws_and_says_not_where_the_handles_are(
    generator: Generator, trained: LatentTransformer
) -> None:
    ws = torch.randn(1, generator.num_ws, 16, generator=torch.Generator().manual_seed(3))
    made = by_transformer(generator, ws, None, POINTS, None, transformer=trained)
    assert made.steps == 1 and all(math.isnan(x) for xy in made.handles for x in xy)
    assert not torch.equal(made.ws[:, :6], ws[:, :6])
    assert torch.equal(made.ws[:, 6:], ws[:, 6:])
    torch.testing.assert_close(made.picture, generator.synthesis(made.ws))


def test_what_a_mask_keeps_is_put_back(generator: Generator, trained: LatentTransformer) -> None:
    ws = torch.randn(1, generator.num_ws, 16, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[8:24, 8:24] = True
    made = by_transformer(generator, ws, None, POINTS, mask, transformer=trained)
    before = generator.synthesis(ws)
    assert torch.equal(made.picture[..., ~mask], before[..., ~mask])
    assert not torch.equal(made.picture[..., mask], before[..., mask])


def test_stored_weights_edit_alike_and_are_refused_by_another_network(
    generator: Generator, trained: LatentTransformer, pairs: Pairs, tmp_path: Path
) -> None:
    path = tmp_path / "t.safetensors"
    save_transformer(trained, weights_hash(generator), path)
    read = load_transformer(path, generator)
    asked = all_asked(pairs)
    with torch.no_grad():  # with gradients the blocks take another way, off by rounding
        assert torch.equal(read(asked), trained(asked))
    with pytest.raises(TransformerInvalid, match="another network"):
        load_transformer(path, tiny_generator(seed=1))
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(TransformerInvalid, match="tools.train_latent_transformer"):
        load_transformer(path, generator)


def test_its_row_is_there_with_weights_only_and_kept_by_these(
    generator: Generator, trained: LatentTransformer, tmp_path: Path
) -> None:
    assert list(with_transformer({NO_EDIT: stay}, None, generator)) == [NO_EDIT]
    path = tmp_path / "t.safetensors"
    save_transformer(trained, weights_hash(generator), path)
    assert list(with_transformer({NO_EDIT: stay}, path, generator)) == [NO_EDIT, NAME]
    before = sample_name(NAME, path)
    assert sample_name(NO_EDIT, path) == NO_EDIT and before != NAME
    save_transformer(LatentTransformer(CONFIG), weights_hash(generator), path)
    assert sample_name(NAME, path) != before


def test_a_training_that_was_stopped_ends_as_if_it_had_not(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tmp_path / "network.safetensors"
    save_generator(generator, network)
    options = ["--network", str(network), "--features", "16", "--pairs", "2", "--batch", "2"]
    options += ["--steps", "7", "--save", "4"]
    main([*options, "--out", str(tmp_path / "whole")])

    learn = Training.learn

    def broken_off(training: Training, batch: int, seed: int) -> float:
        if training.step == 6:
            raise KeyboardInterrupt
        return learn(training, batch, seed)

    monkeypatch.setattr(Training, "learn", broken_off)
    with pytest.raises(KeyboardInterrupt):
        main([*options, "--out", str(tmp_path / "parts")])
    monkeypatch.undo()
    main([*options, "--out", str(tmp_path / "parts")])
    whole, parts = (
        load_transformer(tmp_path / name / "latent_transformer.safetensors", generator)
        for name in ("whole", "parts")
    )
    for name, value in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], value), name
