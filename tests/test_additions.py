"""Adding a stage or a drag method touches two files: a row in its table, and its code."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from drag import methods
from drag.config import DragConfig
from drag.newton import GaussNewton
from drag.points import DragPoint
from drag.session import DragSession
from pipeline import stage_table
from pipeline.failures import OK
from pipeline.progress import Job, Step
from pipeline.settings.schema import settings
from pipeline.stage_table import Stage
from pipeline.stages.work import Work
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import Case


def put_everywhere(
    monkeypatch: pytest.MonkeyPatch, name: str, old: object, new: Mapping[str, Any]
) -> None:
    """Let every module that has a table see it with its new row, as if it stood in the file."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and getattr(module, name, None) is old:
            monkeypatch.setattr(module, name, MappingProxyType(new))


@pytest.fixture
def with_a_stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Add the stage `thumb`: the edited face, small."""

    def run(work: Work) -> Job[Mapping[str, Any]]:
        with Image.open(work.inputs["drag"].path("edited.png")) as face:
            face.resize((8, 8)).save(work.draft.path("thumb.png"))
        yield Step("thumb", 1, 1, {})
        return {}

    code = ModuleType("pipeline.stages.thumb")
    code.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, code.__name__, code)
    row = Stage("thumb", 1, "Thumbnail", "realdrag drag", ("drag",), ("thumb.png",))
    put_everywhere(monkeypatch, "STAGES", stage_table.STAGES, {**stage_table.STAGES, "thumb": row})
    yield "thumb"


def test_a_stage_that_is_a_row_and_a_file_runs_after_the_drag_and_shows_its_picture(
    finished: Case, run: Run, with_a_stage: str
) -> None:
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert "Thumbnail: done in" in outcome.err and "Result: already there" in outcome.err
    with Image.open(finished.workspace / "thumb.png") as shown:
        assert shown.size == (8, 8)
    again = run(finished.drag())
    assert "Thumbnail: already there" in again.err


def test_a_drag_method_that_is_a_row_and_a_file_drags_with_its_own_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered = next(each for each in settings(DragConfig) if each.name == "method")
    assert offered.choices == tuple(methods.METHODS)
    row = methods.Method("careful", GaussNewton, 5, r1=64.0, learning_rate=None, live_moments=2)
    put_everywhere(monkeypatch, "METHODS", methods.METHODS, {**methods.METHODS, "careful": row})
    generator = tiny_generator(32)
    ws = generator.mapping(torch.ones(1, generator.config.z_dim))[:, None]
    ws = ws.repeat(1, generator.num_ws, 1)
    point = DragPoint((12.0, 12.0), (16.0, 12.0))

    def handles(method: str) -> Any:
        steps = DragSession(generator, ws, None, [point], DragConfig(method, steps=3)).run()
        return [step.handles for step in steps]

    assert handles("careful") != handles("newton")
