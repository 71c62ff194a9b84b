"""Rows of the speed tables: time, memory, how many times the literal, goal and floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.timing import Effort, measure_apart, quartiles, seconds_text

HEADER = ("what", "who", "time", "peak MB", "times faster", "goal", "floor", "time / floor")


@dataclass(frozen=True)
class Row:
    """One measurement. literal are the seconds to compare with; goal and floor are seconds."""

    what: str
    who: str
    seconds: Sequence[float]
    peak_mb: float
    literal: Sequence[float] | None = None
    goal: float | None = None
    floor: float | None = None


def cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], ...]:
    """Make a table's cells of rows; "-" where there is nothing to say."""
    return tuple(_cells(row) for row in rows)


def _cells(row: Row) -> tuple[str, ...]:
    time = quartiles(row.seconds)
    faster = goal = floor = over = "-"
    if row.literal is not None and time.median > 0:
        faster = f"{quartiles(row.literal).median / time.median:.1f}"
    if row.goal is not None:
        reached = "reached" if time.median <= row.goal else f"{time.median / row.goal:.1f} times it"
        goal = f"{seconds_text(row.goal)}: {reached}"
    if row.floor is not None:
        floor, over = seconds_text(row.floor), f"{time.median / row.floor:.1f}"
    return row.what, row.who, str(time), f"{row.peak_mb:.0f}", faster, goal, floor, over


def machine_speed(device: str, quick: bool) -> dict[str, Any]:
    """Measure what the machine does in a large fp32 convolution: "flops_per_second"."""
    effort = Effort(1.0 if quick else 5.0, 3, 100)
    found = measure_apart("benchmarks.timing", "measure_convolution", device=device, effort=effort)
    found["flops_per_second"] = found["flops"] / quartiles(found["seconds"]).median
    return found


def speed_text(speed: dict[str, Any]) -> str:
    """Say how the columns are to be read."""
    return (
        "Times are medians [quartiles] of repetitions after a first one, which does not count "
        "(in the quick form a literal step of over 3 s does). Each row was measured in a process "
        "of its own, and its peak memory is all that process's, with Python, torch and the network "
        f"(on a GPU: what torch allocated there); {speed['peak_mb']:.0f} MB are there before the "
        "work begins. The floor is the arithmetic of the convolutions that cannot be left out, at "
        "the speed of a large fp32 convolution in the same run (bf16 can be below it): "
        f"{speed['flops_per_second'] / 1e9:.0f} GFLOP/s."
    )
