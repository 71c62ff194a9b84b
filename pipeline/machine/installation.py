"""Whether the import packages of realdrag are its own: their names are plain words.

Another distribution that has a package of the same name writes into the same folder, or stands
before it on the path; what is imported then is a mixture that no error message explains.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

DISTRIBUTION = "realdrag"
PACKAGES = ("realdrag", "stylegan2", "inversion", "pti", "drag", "pipeline")

_OURS = re.compile(rf"^\"?({'|'.join(PACKAGES)})/", re.MULTILINE)
_ADVICE = "install realdrag into an environment of its own"


def package_folders() -> dict[str, Path | None]:
    """Return where Python finds each of the packages, None for one it does not find."""
    found: dict[str, Path | None] = {}
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = None if spec is None else spec.origin
        found[name] = None if origin is None else Path(origin).parent
    return found


def strangers(
    distributions: Iterable[Distribution], folders: dict[str, Path | None]
) -> Iterator[str]:
    """Yield a sentence for each sign that somebody else has files in realdrag's packages.

    distributions are the installed ones (importlib.metadata.distributions()), folders what
    `package_folders` returns.
    """
    home = Path(__file__).parent.parent.parent
    for name, folder in folders.items():
        if folder is None:
            yield f"the package {name} is missing: install realdrag again"
        elif folder.resolve() != (home / name).resolve():
            yield f"{name} is imported from {folder}, not from {home}: {_ADVICE}"
    for distribution in distributions:
        files = _files_in_our_packages(distribution)
        if _name(distribution) != DISTRIBUTION:
            for name in PACKAGES:
                theirs = [str(path) for path in files if path.parts[0] == name]
                if theirs:
                    who = f"{distribution.metadata['Name']} {distribution.version}"
                    yield f"{who} has put {_count(theirs)} into {name}/: {_ADVICE}"
        elif files:
            yield from _not_as_installed(files)


def _name(distribution: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()


def _files_in_our_packages(distribution: Distribution) -> list[PackagePath]:
    """Return what a distribution says it has in our packages, by a glance where it has nothing."""
    record = distribution.read_text("RECORD")
    if record is not None and not _OURS.search(record):
        return []
    return [path for path in distribution.files or () if path.parts[0] in PACKAGES]


def _not_as_installed(files: list[PackagePath]) -> Iterator[str]:
    """Hold the packages' folders against the list of files that realdrag was installed with."""
    known = {Path(str(file.locate())).resolve() for file in files}
    changed = [str(file) for file in files if not _is_unchanged(file)]
    if changed:
        yield f"{_count(changed)} changed since realdrag was installed: install it again"
    site = Path(str(files[0].locate())).parents[len(files[0].parts) - 1]
    for name in sorted({file.parts[0] for file in files}):
        more = [
            str(path.relative_to(site))
            for path in sorted((site / name).rglob("*"))
            if path.is_file() and path.resolve() not in known and "__pycache__" not in path.parts
        ]
        if more:
            yield f"{name}/ holds {_count(more)} that realdrag did not bring: {_ADVICE}"


def _is_unchanged(file: PackagePath) -> bool:
    """Compare a file with the sha256 in the record; one without a hash counts as unchanged."""
    path = Path(str(file.locate()))
    if file.hash is None or file.hash.mode != "sha256":
        return path.exists()
    if not path.is_file():
        return False
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value


def _count(names: list[str]) -> str:
    """Say how many files, and name the first."""
    return names[0] if len(names) == 1 else f"{len(names)} files ({names[0]}, ...)"
