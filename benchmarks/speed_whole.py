"""How long people wait: the real commands in processes of their own (the page: studio_speed).

A whole edit of a portrait with the embedded network, the same again when everything is there, and
`realdrag --help`. There is no literal reference: the peers have no such command.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table
from benchmarks.timing import measure_command, quartiles, seconds_text
from pipeline.jobs.demo import POINTS, write_demo

COMMANDS = ("invert", "tune", "drag")

GOALS = {"the three commands": 45.0, "realdrag --help": 0.4, "edit, all there": 3.0}
"""Seconds, on two CPU cores."""

FIRST_RUNS, AGAIN, HELPS = 3, 5, 15
QUICK_FIRST_RUNS, QUICK_AGAIN, QUICK_HELPS = 1, 2, 5


def command(*words: str) -> list[str]:
    """Return the command as it is installed beside this Python, else as a module."""
    beside = Path(sys.executable).parent / "realdrag"
    return [str(beside), *words] if beside.exists() else [sys.executable, "-m", "pipeline", *words]


class Timed:
    """Seconds and largest memories of commands, by what they were run for."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.seconds: dict[str, list[float]] = {}
        self.peak_mb: dict[str, list[float]] = {}

    def run(self, what: str, folder: Path, *words: str) -> None:
        """Run a command and keep what it took."""
        seconds, megabytes = measure_command(command(*words), folder, self._environment)
        self.add(what, seconds, megabytes)

    def add(self, what: str, seconds: float, megabytes: float) -> None:
        """Keep a measurement."""
        self.seconds.setdefault(what, []).append(seconds)
        self.peak_mb.setdefault(what, []).append(megabytes)

    def add_sum(self, what: str, parts: list[str]) -> None:
        """Keep the sum of what the last of each part took."""
        total = sum(self.seconds[part][-1] for part in parts)
        self.add(what, total, max(self.peak_mb[part][-1] for part in parts))


def environment(home: Path) -> dict[str, str]:
    """Return the environment of commands: a cache of their own, and nothing from the network."""
    return {**os.environ, "REALDRAG_HOME": str(home), "REALDRAG_OFFLINE": "1"}


def point_words() -> list[str]:
    """Return the demo's points as options."""
    words = []
    for (x, y), (to_x, to_y) in POINTS:
        words += ["--point", f"{x:g},{y:g}:{to_x:g},{to_y:g}"]
    return words


def whole_edit(timed: Timed, folder: Path, device: str, again: int) -> None:
    """Run the three commands for the first time, then again when everything is there."""
    photo, _ = write_demo(folder)
    options = ["--device", device]
    words = {
        "invert": ["invert", photo.name, *options],
        "tune": ["tune", *options],
        "drag": ["drag", *point_words(), *options],
    }
    for stage in COMMANDS:
        timed.run(f"{stage}, first run", folder, *words[stage])
    timed.add_sum("the three commands", [f"{stage}, first run" for stage in COMMANDS])
    edit = ["edit", photo.name, *point_words(), *options]
    # It drags what the encoder sees, and not what was tuned.
    timed.run("edit, a drag of its own", folder, *edit)
    for _ in range(again):
        for stage in COMMANDS:
            timed.run(f"{stage}, all there", folder, *words[stage])
        parts = [f"{stage}, all there" for stage in COMMANDS]
        timed.add_sum("the three commands, all there", parts)
        timed.run("edit, all there", folder, *edit)


def run(options: Options) -> Section:
    """Time the commands."""
    quick = options.quick
    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        timed = Timed(environment(Path(place) / "home"))
        for _ in range(QUICK_HELPS if quick else HELPS):
            timed.run("realdrag --help", Path(place), "--help")
        first_runs = QUICK_FIRST_RUNS if quick else FIRST_RUNS
        for number in range(first_runs):
            options.say(f"whole edit {number + 1} of {first_runs}")
            # A cache of its own each time: nothing is left from the run before.
            timed_once = Timed(environment(Path(place) / f"home-{number}"))
            timed_once.seconds, timed_once.peak_mb = timed.seconds, timed.peak_mb
            again = QUICK_AGAIN if quick else AGAIN
            whole_edit(timed_once, Path(place) / f"edit-{number}", options.device, again)
    raw: dict[str, Any] = {"seconds": timed.seconds, "peak_mb": timed.peak_mb}
    tables = [_command_table(timed, options.device)]
    text = [
        f"NASA's portrait of Eileen Collins and {len(POINTS)} points, embedded network, all "
        "settings at their defaults, nothing from the network; each command is a process of its "
        "own, measured from its start to its end. *All there*: the same commands again, of which "
        "none has anything to compute. Medians [quartiles]."
    ]
    plot = "speed_whole.png"
    bars(options.results / plot, {"seconds": _groups(timed)}, columns=1)
    return Section("speed_whole", "Speed: a whole edit", tuple(text), tuple(tables), (plot,), raw)


def _command_table(timed: Timed, device: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for what, seconds in timed.seconds.items():
        spread = quartiles(seconds)
        wanted = GOALS.get(what) if device == "cpu" else None
        goal = "-"
        if wanted is not None:
            times = f"{spread.median / wanted:.1f} times it"
            reached = "reached" if spread.median <= wanted else times
            goal = f"{seconds_text(wanted)}: {reached}"
        rows.append((what, str(spread), f"{statistics.median(timed.peak_mb[what]):.0f}", goal))
    return Table("Commands", ("what", "time", "peak MB", "goal"), tuple(rows))


def _groups(timed: Timed) -> dict[str, dict[str, Mean]]:
    """Return bars of the stages, the first time and again."""
    groups: dict[str, dict[str, Mean]] = {}
    for stage in COMMANDS:
        groups[stage] = {
            when: Mean(quartiles(timed.seconds[f"{stage}, {when}"]).median, 0.0, 1)
            for when in ("first run", "all there")
        }
    return groups
