"""A photo comes to the studio, also when its disk was full the time before."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipeline.disk.storage import StorageFailed
from pipeline.jobs.claim import claim
from pipeline.progress import follow
from pipeline.studio import jobs
from pipeline.studio.desk import Desk
from tests.pipeline_cases import make_photo


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    root = tmp_path / "photos"
    root.mkdir()
    return Desk(root, "embedded")


def upload(folder: Path) -> Path:
    """Put the same photo down as a browser's upload."""
    return make_photo(folder / "upload.png").rename(folder / "upload")


def test_a_photo_can_be_opened_after_the_disk_was_full(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "replace_file", full)
        with pytest.raises(StorageFailed):
            jobs.take_photo(desk, upload(tmp_path), "anna.png")
    for left in tmp_path.glob("*.png"):
        left.unlink()  # as the server does with an upload
    workspace, fresh = jobs.take_photo(desk, upload(tmp_path), "anna.png")
    assert fresh
    assert desk.photo(workspace).is_relative_to(workspace.folder)


def test_a_workspace_that_lost_its_photo_gets_it_back_from_the_upload(
    desk: Desk, tmp_path: Path
) -> None:
    photo = make_photo(tmp_path / "anna.png")
    with follow(claim(photo, desk.root), lambda event: None).held:
        pass  # killed before the photo was kept
    photo.unlink()
    workspace, fresh = jobs.take_photo(desk, upload(tmp_path), "anna.png")
    assert not fresh
    assert desk.photo(workspace).is_relative_to(workspace.folder)
