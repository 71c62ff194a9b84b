"""Files that survive a kill: flushed writes, renames, and JSON that knows its own hash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stylegan2.hashing import CHUNK_BYTES, bytes_sha256

SEAL = "sha256"

ADVICE = {
    errno.ENOSPC: "free some space there and run the same command again",
    errno.EDQUOT: "your quota there is used up: free some space and run the same command again",
    errno.EFBIG: "the file would be larger than is allowed there",
    errno.EROFS: "this place can only be read: choose another folder",
    errno.EACCES: "you may not write there: choose another folder, or change its permissions",
    errno.EPERM: "you may not write there: choose another folder, or change its permissions",
    errno.ENOENT: "a folder on the way is not there: make it, or choose another one",
    errno.ENOTDIR: "what should be a folder on the way is a file: choose another place",
    errno.EEXIST: "a file is called like a folder that is made there: give it another name",
    errno.EISDIR: "a folder is called like a file that is written there: give it another name",
    errno.ENAMETOOLONG: "the name is too long there: take a shorter one",
    errno.EIO: "the disk reports an error: check it before trusting it with more",
}


class StorageFailed(Exception):
    """The disk did not take what was to be written."""


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the disk's errors while writing to `place` into StorageFailed with advice."""
    try:
        yield
    except OSError as error:
        elsewhere = error.filename is not None and not _is_below(error.filename, place)
        if error.errno not in ADVICE or elsewhere:
            raise
        raise StorageFailed(
            f"cannot write to {place}: {error.strerror}; {ADVICE[error.errno]}. "
            "What was finished before is intact."
        ) from error


def _is_below(name: object, place: Path) -> bool:
    return isinstance(name, str | Path) and Path(name).absolute().is_relative_to(place.absolute())


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and flush it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy_synced(source: Path, target: Path) -> str:
    """Copy a file piece by piece, flush it to the disk, and return the sha256 of its bytes."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("wb") as written:
        while piece := read.read(CHUNK_BYTES):
            digest.update(piece)
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there."""
    # Threads of the studio may write one file at the same time, each its own part.
    writer = f"{os.getpid()}-{threading.get_ident()}"
    partial = path.with_name(f".{path.name}.{writer}.part")
    try:
        write_synced(partial, data)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    sync_folder(path.parent)


def _render(body: Mapping[str, Any]) -> bytes:
    plain = json.dumps(body, indent=1, sort_keys=True, allow_nan=False)
    seal = bytes_sha256(plain.encode())
    sealed = json.dumps({**body, SEAL: seal}, indent=1, sort_keys=True, allow_nan=False)
    return f"{sealed}\n".encode()


def write_sealed(path: Path, body: Mapping[str, Any]) -> None:
    """Write JSON that carries the sha256 of itself."""
    replace_file(path, _render(body))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read JSON written by `write_sealed`. Raises ValueError when a single byte differs."""
    data = path.read_bytes()
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not valid JSON any more") from None
    if not isinstance(body, dict) or body.pop(SEAL, None) is None or _render(body) != data:
        raise ValueError("it has changed since it was written")
    return body
