"""Every layout's file renders what its own tensors say; the script that says so prints a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import foreign_networks
from tests.foreign_networks import Layout, layouts


@pytest.mark.parametrize("layout", layouts(), ids=lambda each: each.name)
def test_a_file_renders_what_its_own_tensors_say(tmp_path: Path, layout: Layout) -> None:
    assert layout.differs(tmp_path) < 2e-6


def test_the_script_writes_every_file_and_a_row_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = layouts()[:2]
    monkeypatch.setattr(foreign_networks, "layouts", lambda: few)
    foreign_networks.main(tmp_path / "made")
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]] == [e.whose for e in few]
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(
        each.name for each in few
    )
