"""Artifacts: fingerprints, manifests, atomic writes, verification.

An artifact is a folder with files and a `manifest.json` that says what was asked for (a Request),
what came out, and the sha256 of every file. It is written to a temporary folder, flushed, and
renamed: whatever happens, there is either the whole artifact or none.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pipeline.disk.storage import (
    copy_synced,
    read_sealed,
    sync_folder,
    write_sealed,
    write_synced,
)
from pipeline.stage_table import Stage
from stylegan2.hashing import bytes_sha256, file_sha256

MANIFEST = "manifest.json"
DRAFT_PREFIX = ".draft-"

FILE_PREFIX = "sha256:"
"""Marks an input of a request as a file from outside, not an artifact."""


class ArtifactCorrupt(Exception):
    """An artifact on disk is not what was written."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"the artifact {folder.name} is damaged: {reason}")
        self.folder = folder


def canonical_json(value: Any) -> str:
    """Write JSON in the one way that is hashed: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def file_input(sha256: str) -> str:
    """Return how a request names a file from outside."""
    return FILE_PREFIX + sha256


@dataclass(frozen=True)
class Request:
    """What a stage is asked to make. Equal fingerprints mean equal results.

    inputs maps a name to the fingerprint of another artifact, or to the sha256 of a file from
    outside. hints say where such a file or a network can be found again; they are remembered,
    but are no part of the identity.
    """

    stage: str
    version: int
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    hints: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        stage: Stage,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        hints: Mapping[str, str] | None = None,
    ) -> Request:
        """Ask for a stage in its present version."""
        return cls(stage.name, stage.version, config, inputs, hints or {})

    @property
    def fingerprint(self) -> str:
        """Hash of stage, version, config and inputs."""
        identity = [self.stage, self.version, self.config, self.inputs]
        return bytes_sha256(canonical_json(identity).encode())

    @property
    def folder_name(self) -> str:
        """Name of the artifact's folder."""
        return f"{self.stage}-{self.fingerprint[:16]}"

    def with_config(self, **changes: Any) -> Request:
        """Return the request with some settings added or replaced."""
        return replace(self, config={**self.config, **changes})

    def to_json(self) -> dict[str, Any]:
        """Return plain containers that `from_json` understands."""
        return {
            "stage": self.stage,
            "version": self.version,
            "config": dict(self.config),
            "inputs": dict(self.inputs),
            "hints": dict(self.hints),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        """Read what `to_json` wrote."""
        return cls(data["stage"], data["version"], data["config"], data["inputs"], data["hints"])


@dataclass(frozen=True)
class Artifact:
    """A verified artifact. manifest holds everything that was recorded."""

    folder: Path
    request: Request
    manifest: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Identity of what was asked for."""
        return str(self.manifest["fingerprint"])

    @property
    def info(self) -> Mapping[str, Any]:
        """What the stage had to say about its result."""
        info: Mapping[str, Any] = self.manifest["info"]
        return info

    def path(self, name: str) -> Path:
        """Return the path of one of its files. Raises ValueError for a name it does not hold."""
        if name not in self.manifest["files"]:
            raise ValueError(f"{self.folder.name} has no file {name}")
        return self.folder / name

    def file_sha256(self, name: str) -> str:
        """Return the recorded sha256 of one of its files."""
        return str(self.manifest["files"][name]["sha256"])


def read_artifact(folder: Path) -> Artifact:
    """Read and verify an artifact: its manifest, and every file against its hash.

    Raises ArtifactCorrupt.
    """
    try:
        manifest = read_sealed(folder / MANIFEST)
        request = Request.from_json(manifest["request"])
        files: Mapping[str, Mapping[str, Any]] = manifest["files"]
        fingerprint = manifest["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactCorrupt(folder, f"{MANIFEST}: {error}") from error
    if fingerprint != request.fingerprint or folder.name != request.folder_name:
        raise ArtifactCorrupt(folder, "its manifest belongs to another artifact")
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    if surplus := sorted(found - files.keys()):
        raise ArtifactCorrupt(folder, f"{surplus[0]} does not belong to it")
    for name, entry in files.items():
        path = folder / name
        try:
            intact = path.stat().st_size == entry["size"] and file_sha256(path) == entry["sha256"]
        except OSError as error:
            raise ArtifactCorrupt(folder, f"{name}: {error.strerror}") from error
        if not intact:
            raise ArtifactCorrupt(folder, f"{name} has changed since it was written")
    return Artifact(folder, request, manifest)


class Draft:
    """An artifact in the making: files go into `folder`, facts about the result into `info`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info: dict[str, Any] = {}

    def path(self, name: str) -> Path:
        """Return where a file of that name is to be written."""
        return self.folder / name

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        write_synced(self.path(name), data)

    def copy(self, source: Path, name: str) -> str:
        """Copy a file piece by piece, and return the sha256 of what was copied."""
        return copy_synced(source, self.path(name))


@contextmanager
def open_draft(root: Path, request: Request) -> Iterator[Draft]:
    """Yield a temporary folder below root; it is removed on leaving unless `commit` renamed it."""
    root.mkdir(exist_ok=True)
    folder = root / f"{DRAFT_PREFIX}{request.folder_name}-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    try:
        yield Draft(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(draft: Draft, request: Request, recorded: Mapping[str, Any]) -> Artifact:
    """Hash and flush every file, write the manifest, and rename the draft to its final name.

    recorded holds what is kept beside the request: software, device, seconds.
    """
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(draft.folder.iterdir()):
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        files[path.name] = {"sha256": file_sha256(path), "size": path.stat().st_size}
    manifest = {
        "fingerprint": request.fingerprint,
        "request": request.to_json(),
        "files": files,
        "info": draft.info,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        **recorded,
    }
    write_sealed(draft.path(MANIFEST), manifest)
    sync_folder(draft.folder)
    final = draft.folder.parent / request.folder_name
    os.rename(draft.folder, final)
    sync_folder(final.parent)
    return Artifact(final, request, read_sealed(final / MANIFEST))


def adopt(artifact: Artifact, root: Path) -> Artifact:
    """Copy a verified artifact into another workspace's folder of artifacts."""
    with open_draft(root, artifact.request) as draft:
        for name in (*artifact.manifest["files"], MANIFEST):
            draft.write(name, (artifact.folder / name).read_bytes())
        sync_folder(draft.folder)
        final = root / artifact.folder.name
        os.rename(draft.folder, final)
    sync_folder(root)
    return read_artifact(final)


def set_aside(folder: Path, damaged: Path) -> Path:
    """Move a damaged artifact or file into the folder `damaged`, and return where it went."""
    damaged.mkdir(exist_ok=True)
    number = 1
    while (target := damaged / f"{folder.name}.{number}").exists():
        number += 1
    os.rename(folder, target)
    sync_folder(damaged)
    return target
