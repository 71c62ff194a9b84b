"""Artifacts on disk: identity, atomic writes, verification."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.disk.artifact import (
    MANIFEST,
    Artifact,
    ArtifactCorrupt,
    Request,
    adopt,
    canonical_json,
    commit,
    open_draft,
    read_artifact,
    set_aside,
)
from pipeline.disk.storage import StorageFailed, read_sealed, replace_file, write_sealed, writing

REQUEST = Request("align", 1, {"size": 32, "face": None}, {"photo": "sha256:00"}, {"photo": "/a"})


def make(root: Path, request: Request = REQUEST) -> Artifact:
    with open_draft(root, request) as draft:
        draft.write("picture.png", b"pixels")
        draft.write("numbers.bin", bytes(range(256)))
        draft.info["faces"] = [1.5, 2.25]
        return commit(draft, request, {"seconds": 0.5})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_what_was_written_is_read_back_and_verified(root: Path) -> None:
    made = make(root)
    read = read_artifact(made.folder)
    assert read.request == REQUEST
    assert read.fingerprint == REQUEST.fingerprint
    assert read.info == {"faces": [1.5, 2.25]}
    assert read.path("numbers.bin").read_bytes() == bytes(range(256))
    assert read.manifest["seconds"] == 0.5


@pytest.mark.parametrize(
    "other",
    [
        Request("invert", 1, REQUEST.config, REQUEST.inputs),
        Request("align", 2, REQUEST.config, REQUEST.inputs),
        REQUEST.with_config(size=64),
        Request("align", 1, REQUEST.config, {"photo": "sha256:01"}),
    ],
    ids=["stage", "version", "config", "inputs"],
)
def test_a_change_of_anything_asked_for_changes_the_fingerprint(other: Request) -> None:
    assert other.fingerprint != REQUEST.fingerprint


def test_hints_and_the_order_of_keys_do_not_change_the_fingerprint() -> None:
    same = Request("align", 1, {"face": None, "size": 32}, {"photo": "sha256:00"}, {"photo": "/b"})
    assert same.fingerprint == REQUEST.fingerprint


def test_nan_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("nan")})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_changed_byte_in_any_file_is_found(tmp_path_factory: Any, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("flip") / "artifacts"
    folder = make(root).folder
    name = data.draw(st.sampled_from(sorted(path.name for path in folder.iterdir())))
    content = bytearray((folder / name).read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactCorrupt, match=folder.name):
        read_artifact(folder)


@pytest.mark.parametrize(
    "damage", ["missing", "short", "long", "surplus", "renamed", "no manifest"]
)
def test_other_damage_is_found_too(root: Path, damage: str) -> None:
    folder = make(root).folder
    picture = folder / "picture.png"
    if damage == "missing":
        picture.unlink()
    elif damage == "short":
        picture.write_bytes(b"pixel")
    elif damage == "long":
        picture.write_bytes(b"pixels\0")
    elif damage == "surplus":
        (folder / "other.png").write_bytes(b"")
    elif damage == "renamed":
        folder = folder.rename(folder.with_name(f"align-{'0' * 16}"))
    else:
        (folder / MANIFEST).unlink()
    with pytest.raises(ArtifactCorrupt):
        read_artifact(folder)


def test_a_manifest_that_was_edited_with_care_is_found_too(root: Path) -> None:
    folder = make(root).folder
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["info"]["faces"] = [9]
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    with pytest.raises(ArtifactCorrupt, match="manifest"):
        read_artifact(folder)


def test_a_draft_that_is_not_committed_leaves_nothing(root: Path) -> None:
    with pytest.raises(RuntimeError), open_draft(root, REQUEST) as draft:
        draft.write("picture.png", b"pixels")
        raise RuntimeError
    assert list(root.iterdir()) == []


def test_nothing_is_at_the_final_place_before_everything_is_flushed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync, rename = os.fsync, os.rename

    def record_sync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def record_rename(source: Path, target: Path) -> None:
        names = {Path(path).name for path in synced}
        assert {"picture.png", "numbers.bin", Path(source).name} <= names
        assert any(MANIFEST in name for name in names)
        rename(source, target)
        synced.clear()

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see what is flushed")
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "rename", record_rename)
    folder = make(root).folder
    assert synced == [str(folder.parent)]


def test_a_copy_in_another_workspace_is_the_same_artifact(root: Path, tmp_path: Path) -> None:
    made = make(root)
    copied = adopt(made, tmp_path / "elsewhere")
    assert copied.manifest == made.manifest
    assert copied.folder != made.folder


def test_damaged_artifacts_set_aside_never_replace_each_other(root: Path, tmp_path: Path) -> None:
    places = [set_aside(make(root).folder, tmp_path / "damaged") for _ in range(3)]
    assert len(set(places)) == 3
    assert all(place.is_dir() for place in places)
    assert list(root.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_what_was_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make(root)

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.disk.artifact.write_synced", full)
    other = REQUEST.with_config(size=64)
    with pytest.raises(StorageFailed, match="free some space"), writing(root):
        make(root, other)
    assert [path.name for path in root.iterdir()] == [before.folder.name]
    assert read_artifact(before.folder) == before


def test_an_error_of_another_kind_or_place_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument"), writing(tmp_path):
        raise OSError(errno.EINVAL, "Invalid argument", str(tmp_path / "photo.jpg"))
    with pytest.raises(PermissionError), writing(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/photo.jpg")


def test_sealed_json_comes_back_and_a_changed_byte_does_not(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    body = {"photo": {"name": "ä.jpg"}, "numbers": [1, 2.5, None, True]}
    write_sealed(path, body)
    assert read_sealed(path) == body
    intact = path.read_bytes()
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="it"):
            read_sealed(path)


@pytest.fixture
def failing_replace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    yield


def test_a_file_that_cannot_be_replaced_keeps_its_old_content(
    tmp_path: Path, failing_replace: None
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="Input/output"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["picture.png"]


def test_a_name_it_does_not_hold_is_a_mistake_of_the_caller(root: Path) -> None:
    with pytest.raises(ValueError, match="no file other.png"):
        make(root).path("other.png")


def test_leftovers_of_a_draft_do_not_disturb_a_new_one(root: Path) -> None:
    with pytest.raises(RuntimeError), open_draft(root, REQUEST) as draft:
        shutil.copytree(draft.folder, root / f"{draft.folder.name}-old", dirs_exist_ok=True)
        raise RuntimeError
    assert read_artifact(make(root).folder).request == REQUEST
