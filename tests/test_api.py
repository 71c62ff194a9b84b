"""The library without the command line: `import realdrag`, and README's own examples."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import realdrag
from drag.points import PointsInvalid
from inversion.config import ProjectionConfig
from pipeline.picture.photo import PhotoUnreadable
from pipeline.picture.photo_writer import PhotoNotWritable
from pipeline.progress import Event, StageDone
from pipeline.settings.schema import RecipeInvalid
from pti.config import TuningConfig
from tests.conftest import Run
from tests.pipeline_cases import Case

ROOT = Path(__file__).parent.parent

POINTS = [((12, 14), (16, 15)), ((24.5, 20), (22, 22))]

RECIPE = {
    "perceptual": "offline",
    "align": {"align": "none"},
    "invert": {"steps": 6, "start_samples": 20},
    "tune": {"steps": 5, "locality_pool": 4},
    "drag": {"steps": 6},
}


@pytest.fixture
def photo(case: Case, monkeypatch: pytest.MonkeyPatch) -> realdrag.Photo:
    monkeypatch.chdir(case.folder)
    recipe = realdrag.Recipe.from_json(RECIPE)
    return realdrag.open(case.photo, network=str(case.network), device="cpu", recipe=recipe)


def test_importing_it_loads_neither_torch_nor_numpy() -> None:
    code = "import sys, realdrag; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    for name in realdrag.__all__:
        assert getattr(realdrag, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        realdrag.nothing  # noqa: B018


def test_a_drag_from_python_is_the_commands_drag(
    photo: realdrag.Photo, case: Case, run: Run
) -> None:
    edit = photo.prepare().drag(POINTS)
    assert edit.pixels.shape == np.asarray(Image.open(case.photo).convert("RGB")).shape
    for command in (case.invert(), case.tune(), case.drag()):
        outcome = run(command)
        assert outcome.code == 0, outcome.err
        assert "already there" in outcome.err
    with Image.open(case.workspace / "result.png") as result:
        assert np.array_equal(np.asarray(result.convert("RGB")), edit.pixels)


def test_a_network_with_an_encoder_is_dragged_without_projection_and_tuning(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.folder)
    recipe = realdrag.Recipe.from_json({**RECIPE, "drag": {"steps": 1}})
    photo = realdrag.open(case.photo, network="embedded", device="cpu", recipe=recipe)
    told: list[Event] = []
    photo.drag(POINTS, progress=told.append)
    stages = [each.stage for each in told if isinstance(each, StageDone)]
    assert stages == ["align", "drag", "result"]


def test_prepare_does_nothing_twice_and_tells_what_it_does(photo: realdrag.Photo) -> None:
    told: list[Event] = []
    photo.prepare(progress=told.append)
    assert [each.reused for each in told if isinstance(each, StageDone)] == [True, False, False]
    told.clear()
    photo.prepare(progress=told.append)
    assert all(each.reused for each in told if isinstance(each, StageDone))


def test_a_saved_picture_keeps_its_size_and_says_that_it_was_edited(
    photo: realdrag.Photo, tmp_path: Path
) -> None:
    edit = photo.drag(POINTS)
    edit.save(tmp_path / "edited.jpg")
    assert b"compositeWithTrainedAlgorithmicMedia" in (tmp_path / "edited.jpg").read_bytes()
    with Image.open(tmp_path / "edited.jpg") as saved:
        assert saved.size == edit.pixels.shape[1::-1]


def test_a_mask_as_an_array_keeps_what_is_false(photo: realdrag.Photo) -> None:
    before = np.asarray(Image.open(photo.path).convert("RGB"))
    mask = np.zeros(before.shape[:2], bool)
    mask[:, :28] = True
    edit = photo.drag(POINTS, mask=mask)
    assert np.array_equal(edit.pixels[:, 34:], before[:, 34:])


def test_a_film_is_written_in_the_format_of_its_name(photo: realdrag.Photo, tmp_path: Path) -> None:
    edit = photo.drag(POINTS)
    edit.film(tmp_path / "drag.gif")
    with Image.open(tmp_path / "drag.gif") as film:
        assert film.format == "GIF" and film.n_frames > 2
    with pytest.raises(PhotoNotWritable, match="a film ends in .mp4"):
        edit.film(tmp_path / "drag.avi")


def test_an_edit_is_not_filmed_as_another_one(photo: realdrag.Photo, tmp_path: Path) -> None:
    first = photo.drag(POINTS)
    photo.drag([(POINTS[0][1], POINTS[0][0])])
    with pytest.raises(ValueError, match="edited again since"):
        first.film(tmp_path / "first.gif")
    assert not (tmp_path / "first.gif").exists()


def test_bad_input_raises_what_the_commands_tell(photo: realdrag.Photo, tmp_path: Path) -> None:
    with pytest.raises(PointsInvalid, match="point 1"):
        photo.drag([((float("nan"), 3), (4, 4))])
    with pytest.raises(RecipeInvalid, match="unknown setting"):
        photo.drag(POINTS, no_such_setting=1)
    with pytest.raises(PhotoUnreadable):
        realdrag.open(tmp_path / "nothing.jpg")


def examples() -> list[str]:
    """Python examples for people who use the library, in the order they stand."""
    pages = [ROOT / "README.md", ROOT / "docs" / "getting-started.md"]
    found = []
    for page in pages:
        found += re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return found


def quicker(monkeypatch: pytest.MonkeyPatch, config: type[Any], **values: object) -> None:
    """Let a config's fields have other defaults."""
    defaults = tuple(values.get(each.name, each.default) for each in dataclasses.fields(config))
    monkeypatch.setattr(config.__init__, "__defaults__", defaults)


@pytest.mark.parametrize("code", examples())
def test_every_example_runs_as_it_stands(
    code: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with a tiny network, and few steps, for the time that it takes."""
    monkeypatch.chdir(case.folder)
    quicker(monkeypatch, ProjectionConfig, steps=4, start_samples=20)
    quicker(monkeypatch, TuningConfig, steps=4, locality_pool=4)
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    from skimage import data

    Image.fromarray(data.astronaut()[0:300, 90:360]).save("photo.jpg")
    small = code.replace('"embedded"', f'r"{case.network}"')
    exec(compile(small, "example", "exec"), {"__name__": "example"})
