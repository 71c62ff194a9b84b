"""Which weights a network's name or path means, and what a download tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.progress import Event, Notice, Step
from stylegan2.checkpoint import save_generator
from tests.factories import tiny_generator


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_file_or_folder_called_like_a_network_changes_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    meant = identify("embedded", Bench("cpu"))
    monkeypatch.chdir(tmp_path)
    if kind == "folder":
        (tmp_path / "embedded").mkdir()
    else:
        save_generator(tiny_generator(16), tmp_path / "embedded")
    monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "another cache"))
    assert identify("embedded", Bench("cpu")) == meant


def test_a_path_to_such_a_file_means_the_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_generator(tiny_generator(16), tmp_path / "embedded")
    network = identify("./embedded", Bench("cpu"))
    assert network.name == str((tmp_path / "embedded").resolve())
    assert network.size == 16


def test_a_download_is_announced_once_with_its_size_and_then_told_by_megabytes() -> None:
    told: list[Event] = []
    bench = Bench("cpu", told.append)
    for done in (300_000, 800_000, 1_200_000, 2_000_000):
        bench.downloading("vgg16.pth", done, 2_000_000)
    bench.downloading("next.pth", 100, None)
    notices = [event.text for event in told if isinstance(event, Notice)]
    assert [text.split(",")[0] for text in notices] == [
        "downloading vgg16.pth (2 MB)",
        "downloading next.pth",
    ]
    steps = [(event.step, event.total) for event in told if isinstance(event, Step)]
    assert steps == [(0, 2), (1, 2), (2, 2), (0, 1)]
