"""The one downloader: bounded in time, resumed, and nothing under a file's name before it is whole.

What a broken or a lying server does to a whole download is in test_zoo.py.
"""

from __future__ import annotations

import hashlib
import socket
import time
import types
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stylegan2.downloads import connection, transfer
from stylegan2.downloads.known_file import KnownFile, is_whole, obtain
from stylegan2.downloads.transfer import DownloadFailed
from stylegan2.environment import downloads_are_off
from tests.download_server import CONTENT, OTHER, Site, serving


@pytest.fixture
def site(downloads: None) -> Iterator[Site]:
    with serving(Site()) as site:
        yield site


def known(site: Site, name: str = "weights.pth") -> KnownFile:
    return KnownFile(f"{site.url}{name}", hashlib.sha256(CONTENT).hexdigest(), 1)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize(("value", "off"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_one_meaning_of_the_offline_switch(
    monkeypatch: pytest.MonkeyPatch, value: str, off: bool
) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", value)
    assert downloads_are_off() is off


def test_a_known_file_is_fetched_once_and_nothing_else_stays(site: Site, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []
    for _ in range(2):
        path = obtain(known(site), tmp_path / "new", lambda *told: heard.append(told))
    assert path.read_bytes() == CONTENT
    assert visible(tmp_path / "new") == ["weights.pth"]
    assert site.asked == ["weights.pth"]
    assert heard[-1] == ("weights.pth", len(CONTENT), len(CONTENT))


def test_a_killed_download_is_continued_by_the_next_run(site: Site, tmp_path: Path) -> None:
    def killed(name: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(known(site), tmp_path, killed)
    assert visible(tmp_path) == ["weights.pth.part", "weights.pth.part.json"]
    arrived = (tmp_path / "weights.pth.part").stat().st_size
    assert obtain(known(site), tmp_path).read_bytes() == CONTENT
    assert site.requests[1]["range"] == f"bytes={arrived}-"


def test_a_refused_range_starts_again(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1000]
    assert obtain(known(site), tmp_path).read_bytes() == CONTENT
    assert site.sent == 1000 + len(CONTENT)


def test_wrong_bytes_are_thrown_away_and_said(site: Site, tmp_path: Path) -> None:
    site.content = OTHER
    with pytest.raises(DownloadFailed, match=r"not the known file.*put http.*weights\.pth into"):
        obtain(known(site), tmp_path)
    assert visible(tmp_path) == []


def test_a_damaged_file_is_replaced_and_told_from_a_whole_one(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    target.write_bytes(OTHER)
    assert not is_whole(known(site), tmp_path)
    obtain(known(site), tmp_path)
    assert is_whole(known(site), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadFailed, match=r"file cannot be written.*put http"):
        obtain(known(site), tmp_path / "file")


def test_offline_says_how_to_get_the_file_and_asks_nobody(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    with pytest.raises(DownloadFailed, match=r"downloads are off: unset REALDRAG_OFFLINE, or put"):
        obtain(known(site), tmp_path)
    assert site.asked == []
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    assert obtain(known(site), tmp_path) == tmp_path / "weights.pth"


# ---------------------------------------------------------------------------------------------
# Time limits


def test_a_server_that_never_answers_is_given_up_in_time(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    site.silent = True
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match="cannot be reached.*no answer within"):
        obtain(known(site), tmp_path)
    assert time.monotonic() - start < 5
    assert len(site.asked) == 1


def test_the_look_up_of_a_name_is_limited_too(
    downloads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, **__: object) -> None:
        time.sleep(8)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match="no answer"):
        obtain(KnownFile("http://weights.invalid/a.pth", "0" * 64, 1), tmp_path)
    assert time.monotonic() - start < 4


def test_a_server_that_stops_in_the_middle_is_asked_for_the_rest(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.3)
    site.stalls = [200_000]
    assert obtain(known(site), tmp_path).read_bytes() == CONTENT
    assert site.requests[1]["range"] == "bytes=200000-"


def test_a_server_that_was_silent_is_asked_again_only_after_a_while(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(transfer, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    tried: list[str] = []
    real = urllib.request.urlopen

    def unplugged(*_: object, **__: object) -> None:
        tried.append("once")
        raise OSError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unplugged)
    for _ in range(3):
        with pytest.raises(DownloadFailed, match="cannot be reached.*no route"):
            obtain(known(site), tmp_path)
    assert tried == ["once"]
    monkeypatch.setattr(urllib.request, "urlopen", real)  # the cable is back
    now[0] += transfer.SILENT_S + 1
    assert obtain(known(site), tmp_path).read_bytes() == CONTENT


def test_a_connection_lost_in_the_middle_is_tried_again_although_nobody_answers(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = urllib.request.urlopen, list[int]()

    def flaky(request: urllib.request.Request, timeout: float) -> Any:
        calls.append(1)
        if len(calls) in (2, 3):
            raise OSError("no route")
        return real(request, timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", flaky)
    site.cuts = [1000]
    assert obtain(known(site), tmp_path).read_bytes() == CONTENT
    assert len(calls) == 4


def test_an_answer_that_comes_too_late_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Late:
        def close(self) -> None:
            closed.append(True)

    def slow(*_: object, **__: object) -> Late:
        time.sleep(0.3)
        return Late()

    monkeypatch.setattr(urllib.request, "urlopen", slow)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        connection.connect(urllib.request.Request("http://127.0.0.1/"))
    deadline = time.monotonic() + 5
    while not closed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert closed == [True]


def test_only_a_whole_file_appears_under_its_name(site: Site, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    obtain(known(site), tmp_path, lambda *_: seen.append(visible(tmp_path)))
    assert all("weights.pth" not in names for names in seen)
