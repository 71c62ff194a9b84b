"""What the benchmark of named controls makes of the points that others' networks saw."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import controls_edits
from benchmarks.controls import group_of, run
from benchmarks.controls_edits import Edit, asked_for, make_edits
from benchmarks.controls_seen import MESH68, cheeks, measures_of_mesh, reached
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
    for marks, iris in ((slice(36, 42), 468), (slice(42, 48), 473)):
        found[iris] = points[marks].mean(axis=0)
    for number, (eye, corner) in {
        50: (41, 48),
        205: (41, 48),
        280: (46, 54),
        425: (46, 54),
    }.items():
        found[number] = (points[eye] + points[corner]) / 2
    return found


def seen(made: Edit, after: Float64Array) -> tuple[float, float]:
    return reached(made, measures_of_mesh(mesh(face())), measures_of_mesh(mesh(after)))


def edit(control: str, taken: float = 0.5) -> Edit:
    return Edit("d00", control, 0.5, taken, 1.0, 3.0, "photo")


def test_the_mesh_has_a_point_for_each_of_the_68() -> None:
    assert len(MESH68) == 68 and len(set(MESH68)) == 68
    assert max(MESH68) < 468


@pytest.mark.parametrize("name", ["smile", "mouth", "brows", "turn", "width"])
def test_a_face_that_moved_as_asked_reached_it_and_little_else(name: str) -> None:
    whole, others = seen(edit(name), moved_face(face(), {name: 0.5}))
    assert whole == pytest.approx(1, abs=0.3)
    assert others < 0.25
    half, _ = seen(edit(name), moved_face(face(), {name: 0.25}))
    assert half == pytest.approx(whole / 2, abs=0.1)
    assert seen(edit(name), face())[0] == 0


def test_a_gaze_is_measured_by_the_meshs_irises() -> None:
    first, last = mesh(face()), mesh(face())
    for corner, iris in ((36, 468), (42, 473)):
        last[iris, 0] += 0.08 * np.hypot(*(face()[corner + 3] - face()[corner]))
    found, _ = reached(edit("gaze"), measures_of_mesh(first), measures_of_mesh(last))
    assert found == pytest.approx(1, abs=0.01)
    assert reached(edit("gaze_up"), measures_of_mesh(first), measures_of_mesh(last))[
        0
    ] == pytest.approx(0, abs=0.01)


def test_what_an_edit_of_a_photos_range_was_asked_is_what_it_took() -> None:
    moved = moved_face(face(), {"smile": 0.2})
    assert seen(edit("smile", 0.2), moved)[0] == pytest.approx(1, abs=0.3)


def test_cheeks_are_looked_at_where_they_are() -> None:
    points = face()
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for eye, corner in ((41, 48), (46, 54)):
        x, y = ((points[eye] + points[corner]) / 2).astype(int)
        pixels[y - 40 : y + 40, x - 40 : x + 40] = (200, 150, 120)
    np.testing.assert_allclose(cheeks(pixels, mesh(points)), (200, 150, 120))


def test_every_angle_of_skin_has_itsgroup_of() -> None:
    assert [group_of(angle) for angle in (60, 41, 30, 28, -50)] == [
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
    listed: dict[str, Any] = {name: None for name, *_ in asked_for()}
    listed["smile+0.5"] = asdict(made)
    (folder / "d00.json").write_text(json.dumps(listed))
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
    (folder / "crops" / f"{made.crop}.png").unlink()  # what was seen is kept
    light.save(folder / "crops" / f"{made.crop}.png")
    assert run(options).raw == section.raw
    by_control, at_one, whole, by_skin, _, drift = section.tables
    assert [row[0] for row in by_control.rows] == ["smile +"]
    assert float(str(by_control.rows[0][1])) == pytest.approx(1, abs=0.3)
    assert whole.rows[0][6] == "1 of 1"
    assert not at_one.rows
    assert [row[0] for row in by_skin.rows] == ["lighter"]
    assert drift.header == ("control", "cheeks, lighter", "identity, lighter")
    assert [row[0] for row in drift.rows] == ["smile"]
    assert "1 lighter, 0 between, 0 darker" in section.text[-1]
    assert (tmp_path / "results" / "controls_sheet.jpg").is_file()
    assert set(CONTROLS) >= {each["edit"]["control"] for each in section.raw["seen"]}


class Asked:
    """A photo that is opened: what is applied to it, and a kill after so many edits."""

    def __init__(self, most: int) -> None:
        self.applied: list[str] = []
        self.most = most
        self.path = Path("d00.jpg")
        self.workspace = None

    def prepare(self) -> None:
        pass

    def controls(self) -> dict[str, Any]:
        whole, little = SimpleNamespace(low=-1.0, high=0.7), SimpleNamespace(low=-0.1, high=0.1)
        return {name: little if name == "mouth" else whole for name in CONTROLS}

    def apply(self, asked: dict[str, float]) -> Any:
        if len(self.applied) == self.most:
            raise KeyboardInterrupt
        ((name, amount),) = asked.items()
        self.applied.append(f"{name}{amount:+.1f}")
        return SimpleNamespace(share=1.0, looks=3.0, pixels=np.zeros((8, 8, 3), np.uint8))


def test_a_run_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Asked] = []

    def open_it(*_: Any) -> Asked:
        opened.append(Asked(5 if not opened else 1000))
        return opened[-1]

    info = {"quad": [[0, 0], [0, 8], [8, 8], [8, 0]], "pixels": "photo"}
    monkeypatch.setattr(controls_edits, "_open", open_it)
    monkeypatch.setattr(controls_edits, "_artifact", lambda *_: SimpleNamespace(info=info))
    monkeypatch.setattr(
        controls_edits, "dev_photos", lambda *_: iter([SimpleNamespace(name="d00")])
    )
    monkeypatch.setattr(
        controls_edits,
        "read_photo",
        lambda _: SimpleNamespace(pixels=np.zeros((8, 8, 3), np.uint8)),
    )
    options = Options(
        quick=False, seed=1, network="embedded", faces=tmp_path, device="cpu",
        work=tmp_path, results=tmp_path, say=lambda _: None,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        make_edits(options, tmp_path / "controls")
    made = make_edits(options, tmp_path / "controls")
    assert len(opened[0].applied) == 5
    assert not set(opened[0].applied) & set(opened[1].applied)
    crops = [each.crop for each in made]
    assert len(crops) == len(set(crops)) == 5 + len(opened[1].applied)
    assert not [name for name in crops if "_mouth+" in name or "_mouth-" in name]
    assert [each.taken for each in made if each.crop == "d00_smile+1.0"] == [0.7]
    assert make_edits(options, tmp_path / "controls") == made
    assert len(opened) == 2
