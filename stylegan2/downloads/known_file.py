"""Files of known content at an address: other people's weights, fetched once and whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from stylegan2.downloads.transfer import DownloadFailed, OnProgress, fetch, part_of
from stylegan2.environment import OFFLINE_VARIABLE, downloads_are_off
from stylegan2.hashing import file_sha256


@dataclass(frozen=True)
class KnownFile:
    """A file that is known by its sha256; megabytes is for people to read."""

    url: str
    sha256: str
    megabytes: int

    @property
    def name(self) -> str:
        """Return its file name, the last part of the address."""
        return self.url.rsplit("/", 1)[-1]


def is_whole(file: KnownFile, folder: Path) -> bool:
    """Tell whether a file lies in a folder with every byte as it should be; reads it once."""
    path = folder / file.name
    if not path.is_file():
        return False
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns) == file.sha256


def obtain(file: KnownFile, folder: Path, on_progress: OnProgress | None = None) -> Path:
    """Make sure that a file lies whole in a folder, and return its path.

    Other programs may share the folder: nothing appears there under the file's name before it is
    complete and checked. Raises DownloadFailed.
    """
    target = folder / file.name
    if is_whole(file, folder):
        return target
    by_hand = f"or put {file.url} into {folder}"
    if downloads_are_off():
        raise DownloadFailed(
            f"{file.name} ({file.megabytes} MB) is not on this machine, and downloads are off: "
            f"unset {OFFLINE_VARIABLE}, {by_hand}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if is_whole(file, folder):  # another process was faster
                return target
            digest = fetch(
                file.url,
                target,
                expected=file.sha256,
                otherwise=by_hand,
                on_progress=on_progress,
            )
            part = part_of(target)
            if digest != file.sha256:
                size = part.stat().st_size
                part.unlink()
                raise DownloadFailed(
                    f"{file.url} gave {size} bytes that are not the known file (their sha256 is "
                    f"{digest}); try again later, {by_hand}"
                )
            os.replace(part, target)
    except OSError as error:
        raise DownloadFailed(f"{folder} cannot be written: {error}; {by_hand}") from error
    return target


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, modified: int) -> str:
    return file_sha256(path)
