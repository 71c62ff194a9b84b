"""The list of networks and their download, against a server that misbehaves."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stylegan2 import zoo
from stylegan2.downloads import transfer
from stylegan2.downloads.transfer import DownloadFailed
from stylegan2.embedded import embedded_path
from stylegan2.environment import cache_folder
from stylegan2.known_networks import KNOWN_NETWORKS, KnownNetwork
from stylegan2.zoo import HashMismatch, UnknownNetwork, is_known_name, resolve
from tests.download_server import CONTENT, OTHER, Site, serving

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: None) -> Iterator[Site]:
    """Serve a Site as the listed network "test" (its hash is known) and "new"."""
    with serving(Site()) as site:
        monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "home"))
        for name, sha256 in (("test", SHA256), ("new", None)):
            url = f"{site.url}network.pkl"
            network = KnownNetwork(name, "A test", url, 16, "none", sha256=sha256)
            monkeypatch.setitem(KNOWN_NETWORKS, name, network)
        yield site


def networks_folder() -> Path:
    return cache_folder() / "networks"


def leftovers() -> list[str]:
    return sorted(p.name for p in networks_folder().iterdir() if not p.name.endswith(".lock"))


# ---------------------------------------------------------------------------------------------
# The good cases


def test_first_use_downloads_and_the_second_does_not_ask(site: Site) -> None:
    seen: list[tuple[int, int | None]] = []
    path = resolve("test", on_progress=lambda name, done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert resolve("test") == path
    assert len(site.requests) == 1
    assert leftovers() == ["test.pkl"]
    assert zoo.is_present("test") and not zoo.is_present("new")


def test_cut_connection_is_continued_where_it_broke(site: Site) -> None:
    site.cuts = [300_000, 100_000]
    assert resolve("test").read_bytes() == CONTENT
    assert [request.get("range") for request in site.requests] == [
        None, "bytes=300000-", "bytes=400000-",
    ]  # fmt: skip
    assert site.requests[1]["if-range"] == '"v1"'
    assert site.sent == len(CONTENT)


def test_download_is_continued_by_a_later_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.cuts = [300_000]
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DownloadFailed, match="300000 of 700000 bytes.*run the command again"):
        resolve("test")
    assert leftovers() == ["test.pkl.part", "test.pkl.part.json"]
    seen: list[int] = []
    assert (
        resolve("test", on_progress=lambda name, done, _: seen.append(done)).read_bytes() == CONTENT
    )
    assert seen[0] > 300_000
    assert site.sent == len(CONTENT)


def test_server_without_ranges_starts_again(site: Site) -> None:
    site.cuts, site.ranges = [300_000], False
    assert resolve("test").read_bytes() == CONTENT
    assert site.sent == 300_000 + len(CONTENT)


def test_file_that_changed_in_between_is_fetched_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content, site.cuts = OTHER, [300_000]
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DownloadFailed):
        resolve("new")
    site.content, site.etag = CONTENT, '"v2"'
    assert resolve("new").read_bytes() == CONTENT


def test_without_mark_or_hash_a_beginning_is_not_trusted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content, site.cuts, site.etag = OTHER, [300_000], None
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DownloadFailed):
        resolve("new")
    site.content = CONTENT
    assert resolve("new").read_bytes() == CONTENT
    assert "range" not in site.requests[1]


def test_wrong_beginning_of_a_known_file_is_found_by_its_hash_and_dropped(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content, site.cuts, site.etag = OTHER, [300_000], None
    monkeypatch.setattr(transfer, "ATTEMPTS", 1)
    with pytest.raises(DownloadFailed):
        resolve("test")
    site.content = CONTENT
    assert resolve("test").read_bytes() == CONTENT
    assert [request.get("range") for request in site.requests] == [None, "bytes=300000-", None]


def test_complete_part_of_a_killed_run_is_used_without_a_download(site: Site) -> None:
    networks_folder().mkdir(parents=True)
    (networks_folder() / "test.pkl.part").write_bytes(CONTENT)
    assert resolve("test").read_bytes() == CONTENT
    assert site.sent == 0


def test_busy_server_is_asked_again(site: Site) -> None:
    site.statuses = [503, 429, 500]
    assert resolve("test").read_bytes() == CONTENT
    assert len(site.requests) == 4


def test_file_put_there_by_hand_is_checked_and_used(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    networks_folder().mkdir(parents=True)
    (networks_folder() / "test.pkl").write_bytes(CONTENT)
    assert resolve("test").read_bytes() == CONTENT
    assert site.requests == []


def test_cached_file_of_another_size_is_fetched_again(site: Site) -> None:
    path = resolve("test")
    path.write_bytes(CONTENT[:1000])
    assert resolve("test").read_bytes() == CONTENT
    assert len(site.requests) == 2


# ---------------------------------------------------------------------------------------------
# Failures


def test_server_that_always_cuts_is_given_up_with_advice(site: Site) -> None:
    site.cuts = [0] * 50
    with pytest.raises(DownloadFailed, match=r"6 attempts.*broke off.*give its path"):
        resolve("test")
    assert len(site.requests) == transfer.ATTEMPTS


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_missing_file_is_not_asked_for_twice(site: Site, status: int) -> None:
    site.statuses = [status] * 9
    with pytest.raises(DownloadFailed, match=f"{status}.*give its path"):
        resolve("test")
    assert len(site.requests) == 1
    assert leftovers() == []


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream"])
def test_web_page_instead_of_the_file_is_recognised(site: Site, content_type: str) -> None:
    site.content, site.content_type = b"\n<!DOCTYPE html><p>Sign in", content_type
    with pytest.raises(DownloadFailed, match="web page"):
        resolve("new")
    assert leftovers() == []


def test_unreachable_server_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = KnownNetwork("gone", "", "http://127.0.0.1:9/x.pkl", 16, "none")
    monkeypatch.setitem(KNOWN_NETWORKS, "gone", gone)
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1:9.*cannot be reached.*give its path"):
        resolve("gone")


@pytest.mark.parametrize("value", ["1", "yes"])
def test_offline_mode_asks_nobody(site: Site, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", value)
    with pytest.raises(DownloadFailed, match="offline mode.*unset REALDRAG_OFFLINE"):
        resolve("test")
    assert site.requests == []
    monkeypatch.setenv("REALDRAG_OFFLINE", "0")
    path = resolve("test")
    monkeypatch.setenv("REALDRAG_OFFLINE", value)
    assert resolve("test") == path


def test_cache_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"a file where the folder should be")
    with pytest.raises(DownloadFailed, match="cannot be written"):
        resolve("test")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_named(site: Site) -> None:
    networks_folder().mkdir(parents=True)
    (networks_folder() / "test.pkl.part").symlink_to("/dev/full")
    with pytest.raises(DownloadFailed, match="cannot be written"):
        resolve("test")
    assert not zoo.is_present("test")


def test_exception_of_the_progress_callback_keeps_what_arrived(site: Site) -> None:
    def stop(name: str, done: int, _: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resolve("test", on_progress=stop)
    assert "test.pkl.part" in leftovers()
    assert resolve("test").read_bytes() == CONTENT
    assert "range" in site.requests[1]


# ---------------------------------------------------------------------------------------------
# Hashes


def test_wrong_bytes_are_set_aside_until_they_are_accepted(site: Site) -> None:
    site.content = OTHER
    served = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(HashMismatch) as error:
        resolve("test")
    for part in (served, SHA256, "--accept-hash", site.url):
        assert part in str(error.value)
    assert leftovers() == ["test.pkl.rejected"]
    assert not zoo.is_present("test")
    with pytest.raises(HashMismatch):
        resolve("test")
    asked = len(site.requests)
    assert resolve("test", accept_hash=True).read_bytes() == OTHER
    assert len(site.requests) == asked
    assert leftovers() == ["test.pkl"]
    pins = json.loads((cache_folder() / "pins.json").read_text())
    assert pins["test"]["sha256"] == served
    assert resolve("test").read_bytes() == OTHER


def test_accepted_hash_is_expected_from_then_on(site: Site) -> None:
    site.content = OTHER
    resolve("test", accept_hash=True).unlink()
    assert resolve("test").read_bytes() == OTHER
    (networks_folder() / "test.pkl").unlink()
    site.content = CONTENT  # what the list says, but not what was accepted
    with pytest.raises(HashMismatch, match="pinned"):
        resolve("test")


def test_network_without_a_listed_hash_is_pinned_at_first_use(site: Site) -> None:
    resolve("new").unlink()
    site.content, site.etag = OTHER, '"v2"'
    with pytest.raises(HashMismatch, match=f"{SHA256} was pinned"):
        resolve("new")


def test_wrong_file_put_there_by_hand_is_set_aside(site: Site) -> None:
    networks_folder().mkdir(parents=True)
    (networks_folder() / "test.pkl").write_bytes(OTHER)
    with pytest.raises(HashMismatch):
        resolve("test")
    assert resolve("test").read_bytes() == CONTENT


def test_damaged_pins_count_as_none(site: Site) -> None:
    resolve("test")
    (cache_folder() / "pins.json").write_text("{not json")
    assert resolve("test").read_bytes() == CONTENT
    assert len(site.requests) == 1
    assert zoo.is_present("test")


# ---------------------------------------------------------------------------------------------
# Two processes, names, the list


def resolve_in_child(url: str, results: Any) -> None:
    KNOWN_NETWORKS["test"] = KnownNetwork("test", "", url, 16, "none", sha256=SHA256)
    results.put(hashlib.sha256(resolve("test").read_bytes()).hexdigest())


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_two_processes_share_one_download(site: Site) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [
        context.Process(target=resolve_in_child, args=(site.url, results)) for _ in range(3)
    ]
    for child in children:
        child.start()
    assert [results.get(timeout=30) for _ in children] == [SHA256] * 3
    for child in children:
        child.join()
    assert len(site.requests) == 1


def test_path_is_returned_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ffhq-1024.pkl"
    path.write_bytes(b"x")
    assert resolve(str(path)) == path
    assert resolve("embedded") == embedded_path()


def test_a_networks_name_wins_over_a_file_of_that_name(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "embedded").mkdir()
    (tmp_path / "test").write_bytes(b"another file")
    assert resolve("embedded") == embedded_path()
    assert resolve("test").read_bytes() == CONTENT
    assert resolve("./test").read_bytes() == b"another file"
    assert is_known_name("test") and is_known_name("embedded")
    assert not is_known_name("./test") and not is_known_name("./embedded")


@pytest.mark.parametrize(
    ("name", "hint"), [("ffhq-1042", "ffhq-1024"), ("qqqq", "models list"), ("./x.pkl", "list")]
)
def test_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownNetwork, match=hint):
        resolve(name)


def test_list_is_consistent() -> None:
    assert {"ffhq-1024", "ffhq-512", "ffhq-256", "metfaces-1024", "afhqcat-512"} <= set(
        KNOWN_NETWORKS
    )
    urls = [network.url for network in KNOWN_NETWORKS.values()]
    assert len(set(urls)) == len(urls) == 27
    for name, network in KNOWN_NETWORKS.items():
        assert name == network.name and str(network.resolution) in name
        assert network.url.startswith("https://") and network.url.endswith(".pkl")
        assert network.sha256 is None or re.fullmatch("[0-9a-f]{64}", network.sha256)
        assert network.title and network.licence and 100 < network.size_mb < 1000
        assert os.sep not in name


def test_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALDRAG_HOME", str(tmp_path / "é space"))
    assert cache_folder() == tmp_path / "é space"
    monkeypatch.delenv("REALDRAG_HOME")
    assert cache_folder() == Path.home() / ".cache" / "realdrag"


def test_listing_networks_does_not_import_torch() -> None:
    code = "import sys, stylegan2.zoo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
