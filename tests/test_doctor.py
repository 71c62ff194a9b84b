"""What the doctor finds: foreign files in our packages, weights, and what would be downloaded."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch

from inversion.perceptual import BACKBONES
from pipeline.machine import installation
from pipeline.machine.bench import Bench
from pipeline.machine.doctor import describe, examine
from pipeline.machine.installation import PACKAGES, package_folders, strangers
from stylegan2.downloads.known_file import KnownFile


def install(site: Path, name: str, files: dict[str, str]) -> None:
    """Write a distribution as pip leaves it, with its record."""
    info = site / f"{name}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [f"{info.name}/METADATA,,"]
    for path, content in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(content.encode())
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
        lines.append(f"{path},sha256={digest.rstrip(b'=').decode()},{len(content)}")
    (info / "RECORD").write_text("\n".join(lines) + "\n")


OURS = {f"{name}/__init__.py": "" for name in PACKAGES} | {"drag/points.py": "x = 1\n"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with realdrag in it, taken for the running one's."""
    install(tmp_path, "realdrag", OURS)
    here = tmp_path / "pipeline" / "machine" / "installation.py"
    monkeypatch.setattr(installation, "__file__", str(here))
    return tmp_path


def found(site: Path) -> list[str]:
    return list(
        strangers(distributions(path=[str(site)]), {name: site / name for name in PACKAGES})
    )


def test_an_installation_that_is_as_it_should_be_has_no_strangers(site: Path) -> None:
    install(site, "other", {"other/__init__.py": "", "dragon/__init__.py": ""})
    (site / "drag" / "__pycache__").mkdir()
    (site / "drag" / "__pycache__" / "points.cpython-311.pyc").write_bytes(b"compiled")
    assert found(site) == []


def test_another_distributions_files_in_our_package_are_named(site: Path) -> None:
    install(site, "py-drag", {"drag/handles.py": "", "drag/mouse.py": "", "py_drag.py": ""})
    said, left_over = found(site)
    assert said == (
        "py-drag 1.2 has put 2 files (drag/handles.py, ...) into drag/: install realdrag into an "
        "environment of its own"
    )
    assert "drag/ holds 2 files (drag/handles.py, ...) that realdrag did not bring" in left_over


def test_a_file_that_another_distribution_wrote_over_is_named(site: Path) -> None:
    install(site, "py-drag", {"drag/points.py": "y = 2\n"})
    said = found(site)
    assert any(text.startswith("py-drag 1.2 has put drag/points.py into drag/") for text in said)
    assert any(text.startswith("drag/points.py changed since realdrag was") for text in said)


def test_a_missing_file_counts_as_changed(site: Path) -> None:
    (site / "drag" / "points.py").unlink()
    (said,) = found(site)
    assert "drag/points.py changed" in said and "install it again" in said


def test_a_package_that_stands_before_ours_on_the_path_is_named(site: Path) -> None:
    folders: dict[str, Path | None] = {name: site / name for name in PACKAGES}
    folders["drag"], folders["pti"] = site / "elsewhere" / "drag", None
    said = list(strangers([], folders))
    assert any(f"drag is imported from {site / 'elsewhere' / 'drag'}" in text for text in said)
    assert any("pti is missing" in text for text in said)
    assert len(said) == 2


def test_the_running_packages_are_found_where_they_are() -> None:
    root = Path(__file__).parent.parent
    assert package_folders() == {name: root / name for name in PACKAGES}


def test_every_package_of_the_distribution_is_looked_at() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"targets\.wheel\]\npackages = \[(.*?)\]", text)
    assert found is not None
    assert re.findall(r'"(\w+)"', found[1]) == list(PACKAGES)


# ---------------------------------------------------------------------------------------------
# Weights and downloads


def test_what_would_be_downloaded_and_how_large_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.delenv("REALDRAG_OFFLINE")
    findings = examine(Bench("cpu"))
    assert findings["downloads"] == {
        "allowed": True,
        "at first use": ["face-alignment 1", "face-alignment 2", "lpips-vgg"],
        "megabytes": 739,
    }
    assert findings["weights"]["embedded"]["state"] == "here"
    assert "packed" in findings["in use"]["convolutions"]
    assert findings["weights"]["lpips-alex"]["state"] == "not here"
    assert "if its weights can be downloaded" in findings["in use"]["faces compared by"]
    json.dumps(findings)
    text = "\n".join(describe(findings))
    assert "not here, 553 MB" in text and "739" in text


def test_weights_are_told_by_their_bytes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for name, content in (("lpips-vgg", b"right"), ("lpips-alex", b"wrong")):
        sha256 = hashlib.sha256(b"right").hexdigest()
        monkeypatch.setitem(BACKBONES, name, KnownFile(f"https://x.org/{name}.pth", sha256, 1))
        (tmp_path / "checkpoints" / f"{name}.pth").write_bytes(content)
    findings = examine(Bench("cpu"))
    assert findings["weights"]["lpips-vgg"]["state"] == "here"
    assert findings["weights"]["lpips-alex"]["state"] == "damaged, or another version"
    assert findings["in use"]["faces compared by"] == "lpips-vgg"


def test_offline_nothing_would_be_downloaded_and_the_fallbacks_are_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    findings = examine(Bench("cpu"))
    assert findings["downloads"]["allowed"] is False
    assert findings["downloads"]["at first use"] == []
    assert findings["in use"]["faces found by"] == "the built-in face finder"
    assert findings["in use"]["faces compared by"] == "realdrag-v2"
    assert "switched off by REALDRAG_OFFLINE" in "\n".join(describe(findings))


def test_a_library_that_is_not_installed_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "face_alignment" else real(name)
    )
    findings = examine(Bench("cpu"))
    assert "face_alignment is not installed" in findings["in use"]["faces found by"]
