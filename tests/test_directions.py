"""Directions of W: found in a generator, read from files, drawn, and applied to a photo."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.controls.hyperplanes import fit_hyperplanes
from pipeline.controls.table import CONTROLS
from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import BAD_INPUT, OK, WEIGHTS
from pipeline.stages.artifact_files import DRAG, LATENT, read_tensors
from realdrag import Recipe
from realdrag import open as open_photo
from stylegan2.arrays import Float64Array
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.directions import (
    UNIT,
    Direction,
    DirectionsInvalid,
    SpectrumFlat,
    factor_directions,
    principal_directions,
    spread_along,
    typical_w,
)
from stylegan2.formats.direction_files import read_directions, write_directions
from stylegan2.formats.stored import UnsafeCheckpoint
from stylegan2.generator import Generator
from tests import checkpoint_makers as make
from tests.checkpoint_makers import write
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import SIZE, Case

ALL = (0, 8)
"""Layers of a generator of 32 pixels."""


@pytest.fixture
def generator() -> Generator:
    return tiny_generator(SIZE)


def way(generator: Generator, seed: int = 0) -> torch.Tensor:
    return torch.randn(generator.w_dim, generator=torch.Generator().manual_seed(seed))


def current(case: Case, stage: str) -> Artifact:
    fingerprint = read_sealed(case.workspace / STATE)["current"][stage]
    return read_artifact(case.workspace / "artifacts" / f"{stage}-{fingerprint[:16]}")


# What a generator has


def test_w_is_drawn_once_for_a_generator_and_its_copies(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = typical_w(generator, seed=77)
    with monkeypatch.context() as patch:
        patch.setattr("stylegan2.directions.sample_w", lambda *_: pytest.fail("drawn again"))
        tuned = copy.deepcopy(generator)
        tuned.synthesis.block(8).conv0.weight.mul_(2)
        assert torch.equal(typical_w(tuned, seed=77), drawn)
    other = copy.deepcopy(generator)
    with torch.no_grad():
        next(other.mapping.parameters()).mul_(2)
    assert not torch.equal(typical_w(other, seed=77), drawn)
    assert torch.equal(typical_w(generator, seed=77), drawn)


def test_components_are_those_of_the_covariance_and_two_deviations_long(
    generator: Generator,
) -> None:
    w = typical_w(generator)
    u, s, vh = np.linalg.svd((w - w.mean(0)).double().numpy(), full_matrices=False)
    found = principal_directions(generator, 3, ALL)
    assert [each.name for each in found] == ["pc0", "pc1", "pc2"]
    for i, each in enumerate(found):
        unit = each.way.double().numpy() / np.linalg.norm(each.way.double().numpy())
        assert abs(unit @ vh[i]) == pytest.approx(1, abs=1e-4)
        assert float(each.way.norm()) == pytest.approx(UNIT * s[i] / len(w) ** 0.5, rel=1e-3)


def test_a_factor_that_all_styles_share_is_found(generator: Generator) -> None:
    planted = [way(generator, 1), way(generator, 2)]
    for _, layer in generator.synthesis.layers():
        rows = layer.affine.weight
        for i, each in enumerate(planted):
            rows.add_(torch.outer(torch.randn(len(rows)) * (4 - i), each))
    found = factor_directions(generator, 5, ALL)
    assert 2 <= len(found) <= 5
    plane = torch.linalg.qr(torch.stack(planted, dim=1))[0]
    for direction in found[:2]:
        unit = direction.way / direction.way.norm()
        assert float((plane.T @ unit).norm()) > 0.9
        assert float(direction.way.norm()) == pytest.approx(
            UNIT * spread_along(typical_w(generator), unit), rel=1e-4
        )


def test_weights_without_structure_have_no_factors() -> None:
    generator = tiny_generator(SIZE)
    rng = torch.Generator().manual_seed(0)
    for _, layer in generator.synthesis.layers():
        layer.affine.weight.copy_(torch.randn(layer.affine.weight.shape, generator=rng))
    with pytest.raises(SpectrumFlat, match="spectrum is flat"):
        factor_directions(generator, 5, ALL)


def test_a_direction_moves_its_layers_and_no_others(generator: Generator) -> None:
    plain = Direction("a", way(generator), (2, 5)).shift(0.5, 8)
    assert torch.equal(plain[0, 2:5], (0.5 * way(generator)).expand(3, -1))
    assert not plain[0, :2].any() and not plain[0, 5:].any()
    each = torch.randn(8, generator.w_dim)
    assert torch.equal(Direction("a", each, ALL).shift(1.0, 8)[0], each)
    with pytest.raises(ValueError, match="9 layers"):
        Direction("a", way(generator), (0, 9)).shift(1.0, 8)


# Measures


def linear_world() -> tuple[Float64Array, Float64Array, Float64Array]:
    """w [N, 12], three measures of it, and their slopes; the first two hang together."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(800, 12)) * np.linspace(3, 0.3, 12)
    slopes = rng.normal(size=(3, 12))
    slopes[1] = 0.8 * slopes[0] + 0.3 * slopes[1]
    return w, w @ slopes.T + 0.01 * rng.normal(size=(800, 3)), slopes


def test_a_way_changes_one_measure_and_holds_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    w, measured, slopes = linear_world()
    fitted = fit_hyperplanes(w, measured)
    assert (fitted.told > 0.95).all()
    together = slopes @ fitted.way(0, 1.0, alone=False)
    damped, far = slopes @ fitted.way(0, 1.0), fitted.length(fitted.way(0, 1.0))
    assert abs(damped[1]) < 0.7 * abs(together[1])
    monkeypatch.setattr("pipeline.controls.hyperplanes.DAMPING", 0.01)
    for i in range(3):
        change = slopes @ fitted.way(i, 1.0)
        assert change[i] == pytest.approx(1, rel=0.1)
        assert np.abs(np.delete(change, i)).max() < 0.15
    assert far < fitted.length(fitted.way(0, 1.0))


def test_what_w_says_nothing_of_is_not_told() -> None:
    w, measured, _ = linear_world()
    measured[:, 2] = np.random.default_rng(1).normal(size=len(w))
    told = fit_hyperplanes(w, measured).told
    assert told[2] < 0.05 < 0.9 < told[0]


def test_measures_that_w_moves_become_directions_as_long_as_their_controls(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.controls import measured_faces
    from pipeline.jobs import fit_directions

    rng = torch.Generator().manual_seed(0)
    look = torch.randn(len(measured_faces.directed_controls()) + 6, 3 * SIZE**2, generator=rng)

    def measures_of(picture: torch.Tensor) -> Float64Array:
        return np.asarray(look.double() @ picture.double().flatten() / 100)

    monkeypatch.setattr(measured_faces, "measures_of", measures_of)
    monkeypatch.setattr(measured_faces, "shows_faces", lambda *_: True)
    monkeypatch.setattr(fit_directions, "REACH", 1e9)
    told = run(
        ["directions", "fit", str(case.network), "--method", "measures", "--samples", "200",
         "--layers", "0-7", "-o", "faces.safetensors", "--device", "cpu"]
    )  # fmt: skip
    assert told.code == OK
    assert not [name for name in ("tilt", "eye_left") if name in told.out]
    generator = load_generator(case.network)
    found = read_directions(case.folder / "faces.safetensors").for_generator(generator)
    assert len(found) > 3
    controls = measured_faces.directed_controls()
    checked = measured_faces.sample_faces(generator, 200 + fit_directions.CHECKS, seed=0)
    ws = checked[: fit_directions.CHECKS, None].expand(-1, 8, -1)
    before = np.stack(list(measured_faces.measured(generator, ws)))
    for name, each in found.items():
        number = [control.name for control in controls].index(name)
        change = measured_faces.change_along(generator, ws, each, before)
        assert change[number] == pytest.approx(CONTROLS[name].rise, rel=0.25)


def test_a_network_without_faces_has_no_directions_of_measures(case: Case, run: Run) -> None:
    told = run(
        ["directions", "fit", str(case.network), "--method", "measures", "--samples", "100",
         "--device", "cpu"]
    )  # fmt: skip
    assert told.code == BAD_INPUT
    assert "this network draws none" in told.err
    assert not list(case.folder.glob("*measures*"))


# Files


def test_ours_come_back_as_they_were(tmp_path: Path, generator: Generator) -> None:
    kept = [
        Direction("smile", way(generator), (0, 4), -0.5, 1.0, "a smile"),
        Direction("each", torch.randn(8, generator.w_dim), ALL),
    ]
    path = tmp_path / "d.safetensors"
    write_directions(path, kept, "abc")
    read = read_directions(path)
    assert read.network == "abc"
    found = read.for_generator(generator)
    assert list(found) == ["smile", "each"]
    for each in kept:
        back = found[each.name]
        assert torch.equal(back.way, each.way)
        assert (back.layers, back.low, back.high, back.about) == (
            each.layers, each.low, each.high, each.about
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def npy(array: torch.Tensor) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array.numpy())
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["age.pt", "old.pt", "age_w_boundary.npy"])
def test_a_single_direction_is_called_as_its_file_and_as_long_as_w(
    tmp_path: Path, generator: Generator, name: str
) -> None:
    stored = 7.0 * way(generator)[None]
    content = npy(stored) if name.endswith("npy") else make.torch_save(stored, zipped="age" in name)
    read = read_directions(write(tmp_path, name, content))
    stem = name.rsplit(".", 1)[0]
    assert list(read.ways) == [stem]
    found = read.for_generator(generator)[stem]
    spread = spread_along(typical_w(generator), way(generator))
    assert float(found.way.norm()) == pytest.approx(UNIT * spread, rel=1e-4)
    torch.testing.assert_close(found.way / found.way.norm(), stored[0] / stored.norm())
    assert found.layers == ALL


def test_ganspaces_components_keep_their_lengths(tmp_path: Path, generator: Generator) -> None:
    components = torch.linalg.qr(torch.randn(generator.w_dim, 4))[0].T
    stds = torch.tensor([4.0, 3.0, 2.0, 1.0])
    data = {"comp": components[:, None], "mean": torch.zeros(1, generator.w_dim), "std": stds}
    found = read_directions(write(tmp_path, "ffhq_pca.pt", make.torch_save(data)))
    made = found.for_generator(generator)
    assert list(made) == ["pc0", "pc1", "pc2", "pc3"]
    for i, each in enumerate(made.values()):
        torch.testing.assert_close(each.way, components[i] * UNIT * stds[i])


def test_a_dictionary_has_a_direction_for_each_name(tmp_path: Path, generator: Generator) -> None:
    data = {"age": way(generator)[None], "smile": torch.randn(1, 8, generator.w_dim), "note": "x"}
    found = read_directions(write(tmp_path, "d.pt", make.torch_save(data))).for_generator(generator)
    assert list(found) == ["age", "smile"]
    assert found["smile"].way.shape == (8, generator.w_dim)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch realdrag_was_here",)


BAD = {
    "hostile": (make.torch_save(Hostile()), UnsafeCheckpoint, "nothing was run"),
    "of another network": (npy(torch.ones(1, 512)), DirectionsInvalid, r"\[1, 512\].*\[16\]"),
    "zeros": (npy(torch.zeros(1, 16)), DirectionsInvalid, "zeros"),
    "text": (b"hello, there", DirectionsInvalid, r"no \.npy, \.npz or \.pt"),
    "whole numbers": (make.torch_save({"a": torch.arange(16)}), DirectionsInvalid, "no numbers"),
    "half of GANSpace's": (
        make.torch_save({"comp": torch.ones(3, 1, 16), "std": torch.ones(2)}),
        DirectionsInvalid,
        "3 components, 2 lengths",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_holds_no_directions_is_named(
    tmp_path: Path, generator: Generator, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, error, message = BAD[case]
    path = write(tmp_path, "d.bin", content)
    with pytest.raises(error, match=message) as told:
        read_directions(path).for_generator(generator)
    assert str(path) in str(told.value)
    assert [each.name for each in tmp_path.iterdir()] == ["d.bin"]


# Applied


def fitted(case: Case, run: Run, *more: str) -> Path:
    asked = ["directions", "fit", str(case.network), "-o", "pca.safetensors", "--device", "cpu"]
    assert run([*asked, "--count", "3", *more]).code == OK
    return case.folder / "pca.safetensors"


def test_apply_moves_the_latents_along_a_direction_and_the_photo_follows(
    finished: Case, run: Run
) -> None:
    file = fitted(finished, run, "--layers", "0-3")
    asked = ["apply", "--directions", str(file), "--device", "cpu", "pc1=-0.5"]
    told = run(asked)
    assert told.code == OK
    assert "--paste network" in told.err
    drag, invert = current(finished, "drag"), current(finished, "invert")
    moved = read_tensors(drag, DRAG)["ws"] - read_tensors(invert, LATENT)["w_pivot"]
    pc1 = read_directions(file).for_generator(load_generator(finished.network))["pc1"]
    torch.testing.assert_close(moved, pc1.shift(-0.5, 8), rtol=0, atol=1e-5)
    assert drag.request.config["directions"] == {"pc1": -0.5}
    assert drag.info["stop"] in ("arrived", "as_far", "torn")
    assert (finished.workspace / "result.png").exists()


def test_what_is_asked_twice_is_on_disk_whatever_the_file_is_called(
    finished: Case, run: Run
) -> None:
    file = fitted(finished, run)
    other = finished.folder / "other.safetensors"
    other.write_bytes(file.read_bytes())
    found = []
    for path, amount in ((file, "1"), (other, "1"), (file, "0.5")):
        asked = ["apply", "--directions", str(path), "--device", "cpu", f"pc0={amount}"]
        assert run(asked).code == OK
        found.append(current(finished, "drag").fingerprint)
    assert found[0] == found[1] != found[2]


def test_with_the_networks_pixels_a_direction_shows_whole_and_on_film(
    finished: Case, run: Run
) -> None:
    file = fitted(finished, run)
    asked = ["apply", "--directions", str(file), "--paste", "network", "--device", "cpu", "pc0=1"]
    assert run(asked).code == OK
    assert current(finished, "drag").info["pixels"] == "network"
    with Image.open(finished.workspace / "drag.gif") as film:
        assert getattr(film, "n_frames", 1) > 10


def test_a_direction_goes_with_points_and_beyond_its_range_it_stops(
    finished: Case, run: Run
) -> None:
    file = fitted(finished, run)
    told = run(
        ["apply", "--directions", str(file), "--steps", "2", "--device", "cpu", "pc0=9",
         "--points", str(finished.points)]
    )  # fmt: skip
    assert told.code == OK
    assert "pc0: this direction goes from -1.50 to +1.50, so it stops at +1.50" in told.err
    drag = current(finished, "drag")
    assert len(drag.request.config["points"]) == 2
    assert drag.request.config["directions"] == {"pc0": 1.5}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["pc0=x"], "'x' is no number"),
        (["pc0=nan"], "finite"),
        (["pc0=1", "pc0=1"], "given twice"),
        (["smile=1"], "name a direction and its amount, such as pc0=+1"),
        (["pc9=1", "pc0=1"], "no control 'pc9'"),
    ],
)
def test_amounts_that_cannot_be_are_refused(
    finished: Case, run: Run, texts: list[str], message: str
) -> None:
    told = run(["apply", "--directions", str(fitted(finished, run)), "--device", "cpu", *texts])
    assert told.code == BAD_INPUT
    assert message in told.err


def test_directions_of_another_network_are_refused(
    finished: Case, run: Run, generator: Generator
) -> None:
    path = finished.folder / "d.safetensors"
    write_directions(path, [Direction("a", way(generator), ALL)], "0" * 64)
    told = run(["apply", "--directions", str(path), "--device", "cpu", "a=1"])
    assert told.code == BAD_INPUT
    assert "fitted to another network" in told.err
    write(finished.folder, "h.pt", make.torch_save(Hostile()))
    assert run(["apply", "--directions", "h.pt", "--device", "cpu", "h=1"]).code == WEIGHTS


def test_the_library_applies_them_by_name(finished: Case, home: Path, run: Run) -> None:
    file = fitted(finished, run)
    recipe = Recipe.from_json({"perceptual": "offline", "align": {"align": "none"}})
    photo = open_photo(
        finished.photo, network=str(finished.network), recipe=recipe, device="cpu",
        workspace=finished.workspace,
    )  # fmt: skip
    edit = photo.apply({"pc0": 0.5}, directions=file, pc0=0.25)
    assert current(finished, "drag").request.config["directions"] == {"pc0": 0.75}
    assert edit.pixels.shape == (40, 48, 3)


def test_the_library_fits_them(case: Case, home: Path, generator: Generator) -> None:
    from realdrag import fit_directions

    path = case.folder / "d.safetensors"
    made = fit_directions(case.network, path, count=2, layers=(0, 4), device="cpu")
    read = read_directions(path).for_generator(generator)
    assert list(made) == list(read) == ["pc0", "pc1"]
    assert read["pc0"].layers == (0, 4)


def test_show_draws_a_strip_for_each(case: Case, run: Run, generator: Generator) -> None:
    file = fitted(case, run)
    np.save(case.folder / "age.npy", way(generator)[None].numpy())
    asked = ["directions", "show", str(file), "age.npy", "--network", str(case.network)]
    told = run([*asked, "--device", "cpu"])
    assert told.code == OK
    assert [line.split()[0] for line in told.out.splitlines()[:4]] == ["pc0", "pc1", "pc2", "age"]
    with Image.open(case.folder / "pca.png") as sheet:
        assert sheet.width == 5 * 160 and sheet.height > 4 * 160
        pixels = np.array(sheet.convert("RGB"))
    first = pixels[40:160]
    assert not np.array_equal(first[:, :160], first[:, 320:480])
    twice = copy.deepcopy(pixels[40:160, 320:480])
    assert np.array_equal(twice, pixels[40 + 178 : 160 + 178, 320:480])


def test_the_network_is_in_the_file(case: Case, run: Run) -> None:
    file = fitted(case, run)
    assert read_directions(file).network == weights_hash(load_generator(case.network))
