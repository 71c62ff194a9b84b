"""Benchmarks: the pure measures and the page; how well realdrag does is not tested here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.__main__ import find_benchmarks
from benchmarks.report import Stored, load, provenance, store, write_page
from benchmarks.section import Mean, Section, Table, mean_of


def stored(name: str, figure: float) -> Stored:
    table = Table("How far", ("method", "px"), (("default", Mean(figure, 0.25, 7)), ("none", 3)))
    section = Section(name, f"About {name}", ("Words.",), (table,), (f"{name}.png",), {"x": [1.5]})
    facts = provenance(quick=True, seed=3, network="embedded", device="cpu", seconds=12.0)
    return Stored(section, facts)


def test_a_stored_section_is_read_back_as_it_was(tmp_path: Path) -> None:
    section = stored("paired", 2.5)
    assert load(store(section, tmp_path)) == section


def test_running_one_benchmark_again_replaces_only_its_section(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    results = tmp_path / "results"
    for section in (stored("paired", 2.5), stored("speed", 7.5)):
        store(section, results)
    write_page(results, page, ("paired",))
    first = page.read_text()
    assert first.index("## About paired") < first.index("## About speed")
    assert "| default | 2.50 ± 0.25 |" in first
    assert "![About speed](results/speed.png)" in first

    store(stored("paired", 4.5), results)
    write_page(results, page, ("paired",))
    assert page.read_text() == first.replace("2.50 ± 0.25", "4.50 ± 0.25")


def test_a_figure_that_is_not_a_number_survives_as_none(tmp_path: Path) -> None:
    section = Section("one", "One", raw={"error": math.nan, "list": [math.inf, 1.0]})
    back = load(store(Stored(section, {}), tmp_path))
    assert back.section.raw == {"error": None, "list": [None, 1.0]}


def test_a_mean_shows_as_many_digits_as_its_error_bears_out() -> None:
    assert str(Mean(12.3456, 0.4321, 9)) == "12.35 ± 0.43"
    assert str(Mean(1234.5, 51.0, 9)) == "1234 ± 51"
    assert str(mean_of([0.5])) == "0.500"
    assert str(mean_of([])) == "-"
    assert mean_of([1, 2, 3]).error == pytest.approx(1 / math.sqrt(3))


def test_a_table_whose_row_does_not_fit_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under a header of 2"):
        Table("How far", ("method", "px"), (("default",),))


def test_every_benchmark_is_found() -> None:
    assert "__main__" not in find_benchmarks()
    assert "report" not in find_benchmarks()
