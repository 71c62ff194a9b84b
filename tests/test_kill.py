"""Killed, starved of disk, and run twice at once: a workspace ends up as if nothing had happened.

Commands run in children of a fork server that has torch imported, so that each takes a fraction
of a second and can be killed at any moment of its work.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from pipeline.disk.artifact import read_artifact
from pipeline.disk.places import open_workspace
from pipeline.disk.storage import ADVICE
from pipeline.failures import MACHINE, OK
from tests.pipeline_cases import Case, make_case

resource = pytest.importorskip("resource")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

PRELOADED = [
    "tests.test_kill",
    "pipeline.commands.root",
    "pipeline.jobs.edit",
    *(f"pipeline.stages.{name}" for name in ("align", "invert", "tune", "drag", "result")),
    "stylegan2.formats.convert",
    "torch._dynamo",  # torch imports it, slowly, when it first works without data
    "cv2",
]

COMMANDS = ("invert", "tune", "drag")

Trouble = Callable[[int], None]
"""Called before the n-th time, counted from 1, that a command touches the disk."""

DISK_CALLS = ("fsync", "replace", "rename", "mkdir", "unlink", "utime")


def child(arguments: list[str], folder: Path, log: Path, trouble: Trouble | None) -> None:
    """Run a command line with its output in a file, and exit with its code."""
    import torch

    from pipeline.commands.root import main

    torch.set_num_threads(1)
    os.chdir(folder)
    count = 0

    def watched(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if trouble is not None:
                trouble(count)
            return original(*args, **kwargs)

        return call

    for name in DISK_CALLS:
        setattr(os, name, watched(getattr(os, name)))
    with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        code = main(arguments)
        print(json.dumps({"disk_calls": count}))
    os._exit(code)


class KillAt:
    """Kill this process, as kill -9 does, the n-th time that it touches the disk."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, count: int) -> None:
        if count == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


class FullFrom:
    """Let the disk be full from the n-th time on that something is to be put on it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, count: int) -> None:
        if count >= self.number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class StallAt:
    """Do nothing for a long time the n-th time that the disk is touched."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, count: int) -> None:
        if count == self.number:
            time.sleep(300)


class SmallFiles:
    """Let the system refuse files of more than so many bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __call__(self, count: int) -> None:
        if count == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServerContext]:
    """A fork server with everything imported and a quiet environment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield context


class Runner:
    """Starts command lines of a case in children."""

    def __init__(self, server: ForkServerContext, logs: Path) -> None:
        self.server = server
        self.logs = logs
        self.number = 0

    def start(
        self, arguments: list[str], folder: Path, trouble: Trouble | None = None
    ) -> tuple[ForkServerProcess, Path]:
        self.number += 1
        log = self.logs / f"{self.number}.log"
        process = self.server.Process(target=child, args=(arguments, folder, log, trouble))
        process.start()
        return process, log

    def finish(
        self, arguments: list[str], folder: Path, trouble: Trouble | None = None
    ) -> tuple[int | None, str]:
        process, log = self.start(arguments, folder, trouble)
        process.join(120)
        assert process.exitcode is not None, "it hangs"
        return process.exitcode, log.read_text() if log.exists() else ""


@pytest.fixture(scope="module")
def runner(server: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALDRAG_HOME", str(tmp_path_factory.mktemp("home")))
        yield Runner(server, tmp_path_factory.mktemp("logs"))


def arguments_of(case: Case, command: str) -> list[str]:
    made: dict[str, Callable[[], list[str]]] = {
        "invert": case.invert,
        "tune": case.tune,
        "drag": case.drag,
    }
    return made[command]()


class Undisturbed:
    """A case before each command and after it, how long each took, how often it wrote."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self.case = make_case(folder / "case")
        self.states: dict[str, Path] = {}
        self.seconds: dict[str, float] = {}
        self.disk_calls: dict[str, int] = {}
        for command in COMMANDS:
            self.states[command] = folder / f"before-{command}"
            self._keep(self.states[command])
            started = time.monotonic()
            code, told = runner.finish(arguments_of(self.case, command), self.case.folder)
            assert code == OK, told
            self.seconds[command] = time.monotonic() - started
            self.disk_calls[command] = json.loads(told.splitlines()[-1])["disk_calls"]
        self.states["end"] = folder / "end"
        self._keep(self.states["end"])

    def _keep(self, place: Path) -> None:
        place.mkdir()
        if self.case.workspace.exists():
            shutil.copytree(self.case.workspace, place / self.case.workspace.name)

    def rewind(self, command: str) -> None:
        """Put the workspace back to what it was before a command."""
        shutil.rmtree(self.case.workspace, ignore_errors=True)
        shutil.copytree(self.states[command], self.case.folder, dirs_exist_ok=True)

    def expected(self, command: str) -> dict[str, bytes]:
        """Return what the workspace holds after a command."""
        after = [*COMMANDS, "end"][COMMANDS.index(command) + 1]
        return contents(self.states[after] / self.case.workspace.name)


def contents(workspace: Path) -> dict[str, bytes]:
    """Return every file but those that tell the time or who worked there last."""
    timed = {"manifest.json", "lock", "lock.json", "workspace.json"}
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in workspace.rglob("*")
        if path.is_file() and path.name not in timed
    }


def check_intact(case: Case) -> None:
    """Hold every artifact and the state file against their hashes."""
    if case.workspace.exists() and (case.workspace / "workspace.json").exists():
        open_workspace(case.workspace).read_state()
    for folder in case.workspace.glob("artifacts/*-*"):
        if not folder.name.startswith("."):
            read_artifact(folder)


@pytest.fixture(scope="module")
def undisturbed(runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    # The first run fills the cache folder, which the measured ones find as later ones do.
    first = make_case(tmp_path_factory.mktemp("first"))
    assert runner.finish(first.invert(), first.folder)[0] == OK
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), runner)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_after_kill_9_at_any_of_ten_random_moments_ends_as_if_undisturbed(
    runner: Runner, undisturbed: Undisturbed, command: str
) -> None:
    rng = random.Random(command)
    case = undisturbed.case
    killed = 0
    for _ in range(10):
        undisturbed.rewind(command)
        process, _ = runner.start(arguments_of(case, command), case.folder)
        process.join(rng.uniform(0.02, 0.7 * undisturbed.seconds[command]))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        check_intact(case)
        code, told = runner.finish(arguments_of(case, command), case.folder)
        assert code == OK, told
        assert contents(case.workspace) == undisturbed.expected(command)
    assert killed >= 2


@pytest.mark.parametrize("command", COMMANDS)
def test_kill_9_at_ten_of_the_times_a_command_touches_the_disk_leaves_only_whole_things(
    runner: Runner, undisturbed: Undisturbed, command: str
) -> None:
    case = undisturbed.case
    undisturbed.rewind(command)
    numbers = random.Random(command).sample(range(1, undisturbed.disk_calls[command] + 1), 10)
    for number in sorted(numbers):
        code, told = runner.finish(arguments_of(case, command), case.folder, KillAt(number))
        assert code in (-signal.SIGKILL, OK), told
        check_intact(case)
    code, told = runner.finish(arguments_of(case, command), case.folder)
    assert code == OK, told
    assert contents(case.workspace) == undisturbed.expected(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_becomes_full_is_named_and_the_last_good_state_stays(
    runner: Runner, undisturbed: Undisturbed, command: str
) -> None:
    case = undisturbed.case
    undisturbed.rewind(command)
    numbers = random.Random(command).sample(range(1, undisturbed.disk_calls[command]), 6)
    for number in sorted(numbers):
        code, told = runner.finish(arguments_of(case, command), case.folder, FullFrom(number))
        check_intact(case)
        if code != OK:
            assert code == MACHINE, told
            assert "No space left on device; free some space" in told
            assert "Traceback" not in told
    code, told = runner.finish(arguments_of(case, command), case.folder)
    assert code == OK, told
    assert contents(case.workspace) == undisturbed.expected(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_write_that_the_system_cuts_short_is_named(
    runner: Runner, undisturbed: Undisturbed, command: str
) -> None:
    case = undisturbed.case
    undisturbed.rewind(command)
    code, told = runner.finish(arguments_of(case, command), case.folder, SmallFiles(900))
    assert code == MACHINE, told
    assert ADVICE[errno.EFBIG] in told
    check_intact(case)
    assert runner.finish(arguments_of(case, command), case.folder)[0] == OK
    assert contents(case.workspace) == undisturbed.expected(command)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of two megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_really_full_disk_is_named_and_the_next_run_completes(
    runner: Runner, undisturbed: Undisturbed, small_disk: Path
) -> None:
    case = make_case(small_disk / "case")
    for command in COMMANDS:
        free = shutil.disk_usage(small_disk).free
        filler = small_disk / "filler"
        filler.write_bytes(bytes(free - 8192))
        code, told = runner.finish(arguments_of(case, command), case.folder)
        assert code == MACHINE, told
        assert "No space left on device" in told
        check_intact(case)
        filler.unlink()
        code, told = runner.finish(arguments_of(case, command), case.folder)
        assert code == OK, told
    assert contents(case.workspace).keys() == undisturbed.expected("drag").keys()


def test_three_processes_at_once_on_a_new_photo_make_one_workspace(
    runner: Runner, undisturbed: Undisturbed
) -> None:
    case = undisturbed.case
    undisturbed.rewind("invert")
    started = [runner.start(case.invert(), case.folder) for _ in range(3)]
    for process, log in started:
        process.join(120)
        assert process.exitcode == OK, log.read_text()
    assert contents(case.workspace) == undisturbed.expected("invert")
    assert sum("Projection: done" in log.read_text() for _, log in started) == 1
    assert [path.name for path in case.folder.glob("*.realdrag")] == [case.workspace.name]


def test_different_drags_at_once_wait_for_each_other_and_both_end_well(
    runner: Runner, undisturbed: Undisturbed
) -> None:
    case = undisturbed.case
    undisturbed.rewind("drag")
    started = [runner.start(case.drag("--r1", str(r1)), case.folder) for r1 in (3, 4, 5)]
    for process, log in started:
        process.join(120)
        assert process.exitcode == OK, log.read_text()
    check_intact(case)
    assert len(list(case.workspace.glob("artifacts/drag-*"))) == 3
    shown = (case.workspace / "drag.gif").read_bytes()
    assert shown in [path.read_bytes() for path in case.workspace.glob("artifacts/drag-*/drag.gif")]


def test_a_killed_process_does_not_keep_its_lock(runner: Runner, undisturbed: Undisturbed) -> None:
    case = undisturbed.case
    undisturbed.rewind("drag")
    first, _ = runner.start(case.drag(), case.folder, StallAt(undisturbed.disk_calls["drag"] // 2))
    lock = case.workspace / "lock.json"
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if lock.exists() and json.loads(lock.read_text())["pid"] == first.pid:
            break
        time.sleep(0.02)
    second, log = runner.start(case.drag(), case.folder)
    while "waiting for it" not in (log.read_text() if log.exists() else ""):
        assert second.is_alive()
        assert time.monotonic() < limit
        time.sleep(0.02)
    first.kill()
    second.join(120)
    assert second.exitcode == OK, log.read_text()
    assert f"in use by process {first.pid}" in log.read_text()
    assert contents(case.workspace) == undisturbed.expected("drag")
