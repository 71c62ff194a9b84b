"""Sections on disk, and the page that is made of them."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.section import Cell, Mean, Section, Table, markdown_table

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parent / "RESULTS.md"

INTRODUCTION = """\
# Results

Written by `python -m benchmarks`; every section is the last run of its benchmark, and carries its
own date and machine. `python -m benchmarks NAME` runs one of them again and replaces its section
only; `--quick` takes small samples. Figures are means ± standard errors.
"""


@dataclass(frozen=True)
class Stored:
    """A section with when, where and how it was measured."""

    section: Section
    provenance: dict[str, Any]


def describe_machine() -> dict[str, Any]:
    """Name the processor, its cores, the memory in GB and the GPU (None without one)."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "gpu": gpu,
    }


def describe_versions() -> dict[str, str]:
    """Name the versions that figures depend on."""
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "realdrag": version("realdrag"),
    }


def provenance(
    *, quick: bool, samples: int | None, seed: int, network: str, device: str, seconds: float
) -> dict[str, Any]:
    """Describe a run that just ended."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "quick": quick,
        "samples": samples,
        "seed": seed,
        "network": network,
        "device": device,
        "seconds": round(seconds, 1),
    }


def store(stored: Stored, results: Path) -> Path:
    """Write results/<name>.json, whole or not at all."""
    section = stored.section
    content = {
        "name": section.name,
        "title": section.title,
        "provenance": stored.provenance,
        "text": list(section.text),
        "tables": [
            {
                "title": table.title,
                "header": list(table.header),
                "rows": [[_to_json(cell) for cell in row] for row in table.rows],
            }
            for table in section.tables
        ],
        "plots": list(section.plots),
        "raw": section.raw,
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{section.name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_finite(content), indent=1, allow_nan=False) + "\n", "utf-8")
    part.replace(path)
    return path


def load(path: Path) -> Stored:
    """Read what `store` wrote."""
    content = json.loads(path.read_text("utf-8"))
    tables = tuple(
        Table(
            table["title"],
            tuple(table["header"]),
            tuple(tuple(_from_json(cell) for cell in row) for row in table["rows"]),
        )
        for table in content["tables"]
    )
    section = Section(
        content["name"],
        content["title"],
        tuple(content["text"]),
        tables,
        tuple(content["plots"]),
        content["raw"],
    )
    return Stored(section, content["provenance"])


def write_page(results: Path, page: Path, order: tuple[str, ...] = ()) -> None:
    """Make the page anew of all stored sections: those in `order` first, the others by name."""
    names = sorted(path.stem for path in results.glob("*.json"))
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    stored = [load(results / f"{name}.json") for name in names]
    parts = [INTRODUCTION, _overview(stored)]
    parts += [_markdown(each, os.path.relpath(results, page.parent)) for each in stored]
    part = page.with_suffix(".part")
    part.write_text("\n".join(parts), "utf-8")
    part.replace(page)


def _overview(stored: list[Stored]) -> str:
    rows = []
    for each in stored:
        facts, name = each.provenance, each.section.name
        form = "quick" if facts["quick"] else "full"
        if facts.get("samples"):
            form += f", at most {facts['samples']} samples"
        title = f"[{each.section.title}](#{name})"
        rows.append((title, facts["date"], form, f"{facts['seconds']:.0f} s"))
    return markdown_table(("section", "measured", "form", "took"), rows) + "\n"


def _markdown(stored: Stored, folder: str) -> str:
    section, facts = stored.section, stored.provenance
    machine, versions = facts["machine"], facts["versions"]
    lines = [f'<a id="{section.name}"></a>', "", f"## {section.title}", ""]
    for paragraph in section.text:
        lines += [paragraph, ""]
    for table in section.tables:
        lines += [f"**{table.title}**", "", markdown_table(table.header, table.rows), ""]
    for plot in section.plots:
        lines += [f"![{section.title}]({folder}/{plot})", ""]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    if machine["gpu"]:
        where += f", {machine['gpu']}"
    command = f"python -m benchmarks {section.name}{' --quick' if facts['quick'] else ''}"
    if facts.get("samples"):
        command += f" --samples {facts['samples']}"
    lines += [
        f"<sub>`{command}`, "
        f"{facts['date']}, {facts['seconds']:.0f} s, network {facts['network']} on "
        f"{facts['device']}, seed {facts['seed']}; {where}, {machine['threads']} threads; "
        f"Python {versions['python']}, torch {versions['torch']}, realdrag "
        f"{versions['realdrag']}.</sub>",
        "",
    ]
    return "\n".join(lines)


def _to_json(cell: Cell) -> Any:
    if isinstance(cell, Mean):
        return {"mean": cell.mean, "error": cell.error, "n": cell.n}
    return cell


def _from_json(cell: Any) -> Cell:
    if isinstance(cell, dict):
        mean, error = (math.nan if cell[key] is None else cell[key] for key in ("mean", "error"))
        return Mean(mean, error, cell["n"])
    return cell if isinstance(cell, int) else str(cell)


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not know by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _memory_gb() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    except (AttributeError, ValueError, OSError):
        return None
