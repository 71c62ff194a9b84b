"""Projections that go on from latents of another tool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import BAD_INPUT, OK
from pipeline.stages.artifact_files import LATENT, read_tensors
from realdrag import open as open_photo
from realdrag.parts import load_network, project_face
from stylegan2.formats.latents import write_latents
from stylegan2.generator import Generator
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import QUICK_INVERT, SIZE, Case


@pytest.fixture
def generator() -> Generator:
    return tiny_generator(SIZE)


def latents(generator: Generator, *, single: bool) -> torch.Tensor:
    rng = torch.Generator().manual_seed(3)
    rows = 1 if single else generator.num_ws
    ws = torch.randn(1, rows, generator.w_dim, generator=rng)
    return ws.expand(1, generator.num_ws, generator.w_dim).contiguous()


def current(case: Case, stage: str) -> Artifact:
    fingerprint = read_sealed(case.workspace / STATE)["current"][stage]
    return read_artifact(case.workspace / "artifacts" / f"{stage}-{fingerprint[:16]}")


def command(case: Case, *more: str) -> list[str]:
    return ["invert", str(case.photo), "--network", str(case.network), *QUICK_INVERT, *more]


@pytest.mark.parametrize("single", [True, False])
def test_latents_of_a_file_are_the_projection_bit_for_bit(
    case: Case, run: Run, generator: Generator, single: bool
) -> None:
    ws = latents(generator, single=single)
    write_latents(ws, case.folder / "projected_w.npz")
    assert run(command(case, "--start", "projected_w.npz")).code == OK
    made = current(case, "invert")
    assert torch.equal(read_tensors(made, LATENT)["w_pivot"], ws)
    assert (made.info["start"], made.info["steps"]) == ("file", 0)
    assert made.info["space"] == ("w" if single else "w+")


def test_with_steps_the_projection_goes_on_from_there(
    case: Case, run: Run, generator: Generator
) -> None:
    ws = latents(generator, single=False)
    write_latents(ws, case.folder / "w.npz")
    assert run(command(case, "--start", "w.npz", "--steps", "3")).code == OK
    far = (read_tensors(current(case, "invert"), LATENT)["w_pivot"] - ws).abs().max()
    assert 0 < far < 0.1


def test_the_files_bytes_are_in_the_fingerprint_and_its_name_is_not(
    case: Case, run: Run, generator: Generator
) -> None:
    write_latents(latents(generator, single=True), case.folder / "a.npz")
    (case.folder / "b.npz").write_bytes((case.folder / "a.npz").read_bytes())
    write_latents(latents(generator, single=False), case.folder / "c.npz")
    found = []
    for start in ("a.npz", "b.npz", "c.npz", "auto"):
        assert run(command(case, "--start", start, "--steps", "2")).code == OK
        found.append(current(case, "invert").fingerprint)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_latents_of_another_network_are_refused_before_anything_is_written(
    case: Case, run: Run
) -> None:
    np.save(case.folder / "w.npy", np.zeros((1, 512), np.float32))
    told = run(command(case, "--start", "w.npy"))
    assert told.code == BAD_INPUT
    assert "another network" in told.err
    assert not case.workspace.exists()


def test_a_w_for_each_layer_is_refused_where_space_is_w(
    case: Case, run: Run, generator: Generator
) -> None:
    write_latents(latents(generator, single=False), case.folder / "w.npz")
    told = run(command(case, "--start", "w.npz", "--space", "w"))
    assert told.code == BAD_INPUT
    assert "w+" in told.err


def test_what_is_neither_a_word_nor_a_file_is_named(case: Case, run: Run) -> None:
    told = run(command(case, "--start", "nearer"))
    assert told.code == BAD_INPUT
    assert "'nearer' is none of auto, nearest, mean, and no file" in told.err


def test_a_drag_without_tuning_stands_on_latents_of_a_file(
    case: Case, run: Run, generator: Generator
) -> None:
    write_latents(latents(generator, single=True), case.folder / "w.npz")
    assert run(command(case, "--start", "w.npz")).code == OK
    assert run(case.drag()).code == OK
    drag, made = current(case, "drag"), current(case, "invert")
    assert drag.request.inputs["invert"] == made.fingerprint


def test_the_library_prepares_from_a_file_and_keeps_to_it(
    case: Case, home: Path, generator: Generator
) -> None:
    ws = latents(generator, single=True)
    write_latents(ws, case.folder / "w.npz")
    from realdrag import Recipe

    recipe = Recipe.from_json(
        {
            "perceptual": "offline",
            "align": {"align": "none"},
            "tune": {"steps": 2, "locality_pool": 4},
            "drag": {"steps": 2},
            "result": {"paste": "network"},
        }
    )
    photo = open_photo(case.photo, network=str(case.network), recipe=recipe, device="cpu")
    photo.prepare(start="w.npz")
    photo.drag([((12, 14), (16, 15))])
    assert torch.equal(read_tensors(current(case, "invert"), LATENT)["w_pivot"], ws)


def test_a_projection_with_tensors_goes_on_from_latents(case: Case, home: Path) -> None:
    generator = load_network(case.network)
    ws = latents(generator, single=False)
    face = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert torch.equal(project_face(generator, face, start=ws).w_pivot, ws)
