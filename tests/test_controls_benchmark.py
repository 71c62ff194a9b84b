"""What the benchmark of named controls makes of the points that others' networks saw."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.controls import MESH68, Edit, _cheeks, _group, _reached, run
from benchmarks.section import Options, SectionSkipped
from pipeline.controls.macros import moved_face
from pipeline.controls.table import CONTROLS
from stylegan2.arrays import Float64Array
from tests.factories import AVERAGE_FACE

SIDE = 512


def face() -> Float64Array:
    return np.asarray(AVERAGE_FACE, np.float64) * 2


def mesh(points: Float64Array) -> Float64Array:
    """A mesh whose points lie where those of a face do; cheeks between eyes and mouth."""
    found = np.full((478, 2), float(SIDE) / 2)
    found[list(MESH68)] = points
    for number, (eye, corner) in {
        50: (41, 48),
        205: (41, 48),
        280: (46, 54),
        425: (46, 54),
    }.items():
        found[number] = (points[eye] + points[corner]) / 2
    return found


def edit(control: str, taken: float = 0.5) -> Edit:
    return Edit("d00", control, 0.5, taken, 1.0, 3.0, "photo")


def test_the_mesh_has_a_point_for_each_of_the_68() -> None:
    assert len(MESH68) == 68 and len(set(MESH68)) == 68
    assert max(MESH68) < 468


@pytest.mark.parametrize("name", ["smile", "mouth", "brows", "turn", "width"])
def test_a_face_that_moved_as_asked_reached_it_and_little_else(name: str) -> None:
    reached, others = _reached(edit(name), face(), moved_face(face(), {name: 0.5}))
    assert reached == pytest.approx(1, abs=0.3)
    assert others < 0.25
    half, _ = _reached(edit(name), face(), moved_face(face(), {name: 0.25}))
    assert half == pytest.approx(reached / 2, abs=0.1)
    assert _reached(edit(name), face(), face())[0] == 0


def test_what_an_edit_of_a_photos_range_was_asked_is_what_it_took() -> None:
    moved = moved_face(face(), {"smile": 0.2})
    assert _reached(edit("smile", 0.2), face(), moved)[0] == pytest.approx(1, abs=0.3)


def test_cheeks_are_looked_at_where_they_are() -> None:
    points = face()
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for eye, corner in ((41, 48), (46, 54)):
        x, y = ((points[eye] + points[corner]) / 2).astype(int)
        pixels[y - 40 : y + 40, x - 40 : x + 40] = (200, 150, 120)
    np.testing.assert_allclose(_cheeks(pixels, mesh(points)), (200, 150, 120))


def test_every_angle_of_skin_has_its_group() -> None:
    assert [_group(angle) for angle in (60, 41, 30, 28, -50)] == [
        "lighter", "lighter", "between", "between", "darker"
    ]  # fmt: skip


def test_the_section_holds_what_was_seen_and_says_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "controls"
    (folder / "crops").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    faces = tmp_path / "faces"
    (faces / "dev").mkdir(parents=True)
    light = Image.new("RGB", (SIDE, SIDE), (220, 180, 160))
    light.save(faces / "dev" / "d00.jpg")
    quad = np.array([[0, 0], [0, SIDE], [SIDE, SIDE], [SIDE, 0]]) - 0.5
    np.savez(
        faces / "dev_landmarks.npz", id=["d00"], quad=quad[None],
        photo5=face()[[36, 45, 30, 48, 54]][None],
    )  # fmt: skip
    made = edit("smile")
    (folder / "d00.json").write_text(json.dumps([asdict(made)]))
    for name in ("d00", made.crop):
        light.save(folder / "crops" / f"{name}.png")
    options = Options(
        quick=False, seed=1, network="embedded", faces=faces, device="cpu",
        work=tmp_path / "work", results=tmp_path / "results", say=print,
    )  # fmt: skip
    with pytest.raises(SectionSkipped, match="mesh_and_identity"):
        run(options)
    names = ["d00", made.crop]
    meshes = [mesh(face()), mesh(moved_face(face(), {"smile": 0.5}))]
    embeddings = np.zeros((2, 128))
    embeddings[1, 0] = 0.2
    stored = folder / "measured.npz"
    np.savez(stored, name=names[:1], mesh=meshes[:1], embedding=embeddings[:1])
    with pytest.raises(SectionSkipped, match="1 crops have not been looked at"):
        run(options)
    np.savez(stored, name=names, mesh=meshes, embedding=embeddings)
    section = run(options)
    by_control, whole, by_skin = section.tables
    assert [row[0] for row in by_control.rows] == ["smile +"]
    assert float(str(by_control.rows[0][1])) == pytest.approx(1, abs=0.3)
    assert whole.rows[0][6] == "1 of 1"
    assert [row[0] for row in by_skin.rows] == ["lighter"]
    assert "1 lighter, 0 between, 0 darker" in section.text[-1]
    assert (tmp_path / "results" / "controls_sheet.jpg").is_file()
    assert set(CONTROLS) >= {each["edit"]["control"] for each in section.raw["seen"]}
