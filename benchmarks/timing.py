"""Time and memory: repeated steps, their quartiles, and processes that start with nothing.

`python -m benchmarks.timing MODULE FUNCTION` calls MODULE.FUNCTION with the JSON object of its
standard input and prints what it returns, with the process's largest memory: each measurement has
a process of its own, so that none sees memory that another has touched.
"""

from __future__ import annotations

import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from pipeline.machine.memory import keep_freed_memory

ROOT = Path(__file__).parent.parent

CONVOLUTION = (512, 64)
"""Channels and pixels a side."""


@dataclass(frozen=True)
class Spread:
    """The median of n values with their quartiles; of no value at all everything is NaN."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Show seconds in a unit that needs no zeros; quartiles from three values on."""
        if self.n == 0:
            return "-"
        shown = seconds_text(self.median)
        if self.n < 3:
            return f"{shown} (n = {self.n})"
        unit = 1e3 if self.median < 1 else 1.0
        return f"{shown} [{_three(self.low * unit)}, {_three(self.high * unit)}]"


def quartiles(values: Sequence[float]) -> Spread:
    """Return median and quartiles, interpolated between values as numpy does."""
    if not values:
        return Spread(math.nan, math.nan, math.nan, 0)
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


def seconds_text(seconds: float) -> str:
    """Show seconds with three digits, below one second as milliseconds."""
    return f"{_three(seconds)} s" if seconds >= 1 else f"{_three(seconds * 1e3)} ms"


def _three(value: float) -> str:
    if value <= 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(2 - math.floor(math.log10(value)), 0)}f}"


# ---------------------------------------------------------------------------------------------
# Repeating


@dataclass(frozen=True)
class Effort:
    """Repeat for that many seconds, but no less often than `least` and no more than `most`.

    A first call that took longer than `slow` seconds counts, too: warming up is little of that.
    """

    seconds: float
    least: int
    most: int
    slow: float = 1e9


QUICK = Effort(0.6, 1, 15, slow=3.0)
FULL = Effort(20.0, 5, 50)


def effort_of(quick: bool) -> Effort:
    """Return how long the form that was asked for repeats a step."""
    return QUICK if quick else FULL


def wait_for(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


def repeat(
    step: Callable[[], object],
    effort: Effort,
    device: str,
    *,
    before: Callable[[], object] | None = None,
    unit: int = 1,
    first_prepares: bool = False,
) -> list[float]:
    """Return the seconds of each call of `step` after a first one that does not count.

    `before` runs before each call, off the clock. Counts only calls in multiples of `unit`. When
    the first call also prepares things it never counts, however slow.
    """
    seconds: list[float] = []
    begun = math.nan
    for number in range(effort.most * unit + 1):
        if before is not None:
            before()
        wait_for(device)
        started = time.perf_counter()
        step()
        wait_for(device)
        ended = time.perf_counter()
        if number == 0:
            begun = ended
            if first_prepares or ended - started <= effort.slow:
                continue
            begun = started
        seconds.append(ended - started)
        whole = len(seconds) % unit == 0
        if whole and ended - begun >= effort.seconds and len(seconds) >= effort.least * unit:
            break
    return seconds


def measure_convolution(device: str, effort: Mapping[str, Any]) -> dict[str, Any]:
    """Time a large fp32 convolution, what a generator is made of; flops is what it does."""
    channels, side = CONVOLUTION
    x = torch.randn(1, channels, side, side, device=device)
    weight = torch.randn(channels, channels, 3, 3, device=device)
    return {
        "seconds": repeat(lambda: F.conv2d(x, weight, padding=1), Effort(**effort), device),
        "flops": 2 * 9 * (channels * side) ** 2,
    }


# ---------------------------------------------------------------------------------------------
# A process for each measurement


class MeasurementFailed(Exception):
    """A process that should have measured something ended with an error."""


def measure_apart(module: str, function: str, **given: Any) -> dict[str, Any]:
    """Call module.function(**given) in a process of its own; add its "peak_mb".

    What is given and what it returns must be JSON's. Raises MeasurementFailed.
    """
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.timing", module, function],
        input=json.dumps(given, default=asdict),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if process.returncode != 0:
        told = process.stderr.strip().splitlines()[-12:]
        raise MeasurementFailed("\n".join([f"{module}.{function} with {given}:", *told]))
    answer: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answer


def peak_mb(device: str = "cpu") -> float:
    """Return the largest memory this process has had so far: the GPU's if it has used one.

    On Linux not ru_maxrss, which a process takes over from the one that started it.
    """
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        for line in Path("/proc/self/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


_LAUNCH = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
unit = 1 if sys.platform == "darwin" else 1024
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"seconds": seconds, "code": code, "peak_mb": usage.ru_maxrss * unit / 1e6}))
"""


def measure_command(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> tuple[float, float]:
    """Run a command; return its seconds and its largest memory in MB. Raises MeasurementFailed.

    A small Python process starts it: see `peak_mb` on what processes inherit.
    """
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, *command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=dict(environment),
    )
    told = json.loads(process.stdout) if process.returncode == 0 else {"code": process.returncode}
    if told["code"] != 0:
        raise MeasurementFailed(f"{' '.join(command)} ended with {told['code']}: {process.stderr}")
    return told["seconds"], told["peak_mb"]


def _main(module: str, function: str) -> None:
    given = json.load(sys.stdin)
    keep_freed_memory()
    answer = getattr(import_module(module), function)(**given)
    print(json.dumps({"peak_mb": peak_mb(given.get("device", "cpu")), **answer}))


if __name__ == "__main__":
    _main(*sys.argv[1:3])
