"""Plots as small PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.section import Mean

WIDTH = 8.0
"""Inches; with DPI about as wide as a page of markdown shows."""
DPI = 90


def bars(
    path: Path, panels: Mapping[str, Mapping[str, Mapping[str, Mean]]], *, columns: int = 3
) -> None:
    """Draw one panel a measure: {panel: {group: {series: value}}}, bars with standard errors."""
    figure, axes, plt = _panels(len(panels), columns)
    for axis, (title, groups) in zip(axes, panels.items(), strict=False):
        series = list(dict.fromkeys(name for values in groups.values() for name in values))
        width = 0.8 / max(len(series), 1)
        for i, name in enumerate(series):
            places, heights, errors = [], [], []
            for j, values in enumerate(groups.values()):
                if name in values and values[name].n:
                    places.append(j + (i - (len(series) - 1) / 2) * width)
                    heights.append(values[name].mean)
                    errors.append(values[name].error if values[name].n > 1 else 0.0)
            axis.bar(places, heights, width, yerr=errors, label=name, capsize=2)
        axis.set_title(title, fontsize=9)
        axis.set_xticks(range(len(groups)), list(groups), fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    _finish(figure, axes, plt, path)


def lines(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    *,
    x_label: str,
    y_label: str,
    log: bool = False,
    columns: int = 2,
) -> None:
    """Draw curves: {panel: {series: [(x, y), ...]}}; log takes both axes logarithmically."""
    figure, axes, plt = _panels(len(panels), columns)
    for axis, (title, curves) in zip(axes, panels.items(), strict=False):
        for name, points in curves.items():
            axis.plot([x for x, _ in points], [y for _, y in points], marker=".", label=name)
        if log:
            axis.set_xscale("log")
            axis.set_yscale("log")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(x_label, fontsize=8)
        axis.set_ylabel(y_label, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    _finish(figure, axes, plt, path)


def _panels(count: int, columns: int) -> tuple[Any, list[Any], Any]:
    import matplotlib  # an extra of its own: the tests do without

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 2.6 * rows), squeeze=False, layout="constrained"
    )
    every = list(axes.flat)
    for axis in every[count:]:
        axis.set_axis_off()
    return figure, every, plt


def _finish(figure: Any, axes: list[Any], plt: Any, path: Path) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if len(handles) > 1:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=min(len(handles), 4),
            fontsize=8,
            frameon=False,
        )
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
