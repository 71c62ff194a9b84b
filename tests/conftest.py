"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# As the command line does, before torch is loaded: see pipeline/commands/root.py.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:  # it has a core of its own, and no more
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.pipeline_cases import Case, make_case


class Outcome(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the tests' own."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def home(cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests off the user's cache folder and off the network."""
    monkeypatch.setenv("REALDRAG_HOME", str(cache_home))
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    return cache_home


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow downloads, from the tests' own servers and with short waits."""
    from stylegan2.downloads import transfer

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("REALDRAG_OFFLINE", raising=False)
    monkeypatch.setattr(transfer, "RETRY_WAIT_S", 0.0)
    monkeypatch.setattr(transfer, "_silent", {})


@pytest.fixture
def case(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A folder with a photo, a tiny network and points; it is the current folder."""
    made = make_case(tmp_path / "case")
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def run(home: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""
    from pipeline.commands.root import main

    def call(arguments: list[str]) -> Outcome:
        capfd.readouterr()
        code = main(arguments)
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def finished_session(tmp_path_factory: pytest.TempPathFactory, cache_home: Path) -> Case:
    """A case that has been through invert, tune and drag; read only."""
    from pipeline.commands.root import main

    made = make_case(tmp_path_factory.mktemp("finished") / "case")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(cache_home))
        patch.setenv("REALDRAG_OFFLINE", "1")
        patch.chdir(made.folder)
        for arguments in (made.invert(), made.tune(), made.drag()):
            assert main(arguments) == 0
    return made


@pytest.fixture
def finished(
    finished_session: Case, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Case:
    """A copy of the finished case; it is the current folder."""
    folder = tmp_path / "finished"
    shutil.copytree(finished_session.folder, folder)
    monkeypatch.chdir(folder)
    return Case(folder, folder / "photo.png", finished_session.network, folder / "points.json")
