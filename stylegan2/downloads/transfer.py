"""One large file over HTTP: resumed where it broke off, hashed on the way."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from stylegan2.downloads.connection import connect

OnProgress = Callable[[str, int, int | None], None]
"""Hears a file's name, bytes so far, and bytes in all (None when the server does not say)."""

ATTEMPTS = 6
RETRY_WAIT_S = 1.0
"""Wait before the second attempt; doubles each time."""

SILENT_S = 60.0
"""A server that did not answer is not asked again for so long: others wait for nothing then."""

CHUNK_BYTES = 1 << 18

_silent: dict[str, tuple[float, str]] = {}
"""By server: when it did not answer, and why."""


class DownloadFailed(Exception):
    """A file could not be had; what arrived is kept, and another run continues there."""


class _GivenUp(Exception):
    """Another attempt makes no sense now."""


class _Interrupted(Exception):
    """The transfer broke off in a way that another attempt may mend."""


class _Unanswered(_Interrupted):
    """The server could not be reached."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def part_of(target: Path) -> Path:
    """Return where the beginning of a file lies until all of it has arrived."""
    return target.with_name(f"{target.name}.part")


def fetch(
    url: str,
    target: Path,
    *,
    expected: str | None,
    otherwise: str,
    on_progress: OnProgress | None,
) -> str:
    """Download url into part_of(target), continuing what is there; return the sha256 of it all.

    A beginning is continued when the server confirms by ETag or date that it is of the same file,
    and without such a mark when expected, the sha256 or its first digits, will tell: with a
    beginning of another version the whole is fetched anew. Whether the result is as expected is
    for the caller to see. Raises DownloadFailed, whose words end with `otherwise`, what else can be
    done: at once when the server cannot be reached or refuses, else after ATTEMPTS.
    """
    part = part_of(target)
    resumed = part.is_file()
    try:
        digest = _persist(url, target, expected is not None, on_progress)
        if resumed and expected is not None and not digest.startswith(expected):
            part.unlink()
            digest = _persist(url, target, False, on_progress)
    except _GivenUp as error:
        raise DownloadFailed(f"{error}, {otherwise}") from error
    except OSError as error:
        raise DownloadFailed(
            f"{part} cannot be written ({_reason(error)}); what arrived is kept, run the command "
            "again when there is space"
        ) from error
    return digest


def _persist(url: str, target: Path, resume_unmarked: bool, on_progress: OnProgress | None) -> str:
    """Attempt again and again, as long as the server has answered once."""
    server = urlsplit(url).netloc
    since, why = _silent.get(server, (0.0, ""))
    if why and time.monotonic() - since < SILENT_S:
        raise _unreachable(url, why)
    reason: _Interrupted | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(RETRY_WAIT_S * 2 ** (attempt - 1))
        try:
            digest = _attempt(url, target, resume_unmarked, on_progress)
        except _Unanswered as error:
            if reason is None:
                _silent[server] = time.monotonic(), str(error)
                raise _unreachable(url, str(error)) from error
            reason = error
        except _Interrupted as error:
            reason = error
        else:
            _mark_path(part_of(target)).unlink(missing_ok=True)
            return digest
    raise _GivenUp(
        f"{url} could not be downloaded in {ATTEMPTS} attempts: {reason}. What arrived is kept; "
        "run the command again to continue"
    )


def _unreachable(url: str, why: str) -> _GivenUp:
    return _GivenUp(f"{url} cannot be reached ({why}); connect to the internet")


def _attempt(url: str, target: Path, resume_unmarked: bool, on_progress: OnProgress | None) -> str:
    part = part_of(target)
    start, mark = _beginning(url, part, resume_unmarked)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if mark is not None:
            request.add_header("If-Range", mark)
    try:
        response = connect(request)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{start}":
                return _hash_beginning(part, start).hexdigest()
            if error.code == 416:
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                raise _GivenUp(
                    f"{url} answered {error.code} {error.reason}: try the address in a browser"
                ) from error
            raise _Interrupted(f"the server answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Unanswered(_reason(error)) from error
    with response:
        if response.status != 206 or not _range_starts_at(response, start):
            start = 0
        return _receive(url, response, target, start, on_progress)


def _receive(
    url: str,
    response: http.client.HTTPResponse,
    target: Path,
    start: int,
    on_progress: OnProgress | None,
) -> str:
    """Append the body to the first start bytes of the part; return the sha256 of all."""
    part = part_of(target)
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None and length.isdigit() else None
    chunk = _read(response)
    if response.headers.get_content_type() == "text/html" or (start == 0 and _is_page(chunk)):
        raise _GivenUp(f"{url} answered with a web page instead of the file; try it in a browser")
    digest, done = _hash_beginning(part, start), start
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        _write_mark(url, response, part)  # after truncating: a mark never describes old bytes
        file.seek(start)
        while chunk:
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(target.name, done, total)
            chunk = _read(response)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Interrupted(f"the connection broke off after {done} of {total} bytes")
    return digest.hexdigest()


def _read(response: http.client.HTTPResponse) -> bytes:
    """Read what is there, at most CHUNK_BYTES: a slow server's progress shows, too."""
    try:
        return response.read1(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection broke off ({_reason(error)})") from error


def _range_starts_at(response: http.client.HTTPResponse, start: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _is_page(chunk: bytes) -> bool:
    return chunk.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    return str(inner if inner is not None else error) or type(error).__name__


# ---------------------------------------------------------------------------------------------
# The beginning of an earlier attempt


def _mark_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _write_mark(url: str, response: http.client.HTTPResponse, part: Path) -> None:
    """Note by what the server can recognise this version of the file (a strong ETag, or a date)."""
    etag = response.headers.get("ETag")
    mark = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    _mark_path(part).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


def _beginning(url: str, part: Path, resume_unmarked: bool) -> tuple[int, str | None]:
    """Return how many bytes of part may be continued, and the mark to continue them with."""
    if not part.is_file():
        return 0, None
    mark = None
    with contextlib.suppress(OSError, ValueError):
        note = json.loads(_mark_path(part).read_text(encoding="utf-8"))
        if isinstance(note, dict) and note.get("url") == url and isinstance(note.get("mark"), str):
            mark = note["mark"]
    return (part.stat().st_size if mark is not None or resume_unmarked else 0), mark


def _hash_beginning(part: Path, size: int) -> _Digest:
    digest = hashlib.sha256()
    if size:
        with part.open("rb") as file:
            while size > 0 and (chunk := file.read(min(CHUNK_BYTES, size))):
                digest.update(chunk)
                size -= len(chunk)
    return digest
