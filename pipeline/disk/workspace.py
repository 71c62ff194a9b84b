"""One photo's folder: its state and artifacts, found, verified, kept, and shown at the top."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.disk.artifact import (
    DRAFT_PREFIX,
    Artifact,
    ArtifactCorrupt,
    Draft,
    Request,
    adopt,
    commit,
    open_draft,
    read_artifact,
    set_aside,
)
from pipeline.disk.state import State, pieced_together
from pipeline.disk.storage import read_sealed, replace_file, write_sealed, writing
from pipeline.disk.tuned_picture import tuned_picture
from pipeline.progress import Job, Notice, Waiting
from pipeline.stage_table import STAGES
from stylegan2.hashing import file_sha256

STATE = "workspace.json"

LOCK_POLL_SECONDS = 0.2


class WorkspaceInvalid(Exception):
    """A folder is no workspace, is another photo's, or lacks what cannot be made again."""


class StageMissing(Exception):
    """A command needs what an earlier command makes."""


class Workspace:
    """One photo's folder. Everything that writes needs the lock that `lock` gives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.damaged = folder / "damaged"
        self._verified: dict[str, Artifact] = {}

    @property
    def name(self) -> str:
        """Name of the folder, for messages."""
        return self.folder.name

    # ------------------------------------------------------------------------- one at a time

    def lock(self) -> Job[AbstractContextManager[object]]:
        """Wait until no other process works here; give what releases the lock again.

        Leftovers of killed processes are removed. A lock dies with its process, so it is never
        stale.
        """
        self._verified.clear()
        holder = self.folder / "lock.json"
        with writing(self.folder):
            guard = FileLock(self.folder / "lock", thread_local=False)
            told = False
            while True:
                try:
                    held = guard.acquire(timeout=0)
                    break
                except FileNotFoundError:  # a process before us gave the folder up
                    self.folder.mkdir(parents=True, exist_ok=True)
                except Timeout:
                    if not told:
                        who = _holder(holder)
                        text = f"{self.name} is in use by {who}; waiting for it"
                        yield Waiting(text, self.name, who)
                        told = True
                    time.sleep(LOCK_POLL_SECONDS)
            try:
                command = f"realdrag {shlex.join(sys.argv[1:])}"
                replace_file(holder, json.dumps({"pid": os.getpid(), "command": command}).encode())
                self._sweep()
                if (self.folder / STATE).exists():
                    os.utime(self.folder / STATE)
            except BaseException:
                guard.release()
                raise
        return held

    def _sweep(self) -> None:
        for leftover in (*self.folder.glob(".*.part"), *self.artifacts.glob(f"{DRAFT_PREFIX}*")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    # ------------------------------------------------------------------------------- state

    def read_state(self) -> State | None:
        """Read workspace.json; None where there is none. Raises ValueError when it is damaged."""
        try:
            return State.from_json(read_sealed(self.folder / STATE))
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            raise ValueError("it is a folder") from None
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its content is not understood: {error!r}") from error

    def load_state(self) -> Job[State | None]:
        """Read workspace.json; one that is damaged is set aside and pieced together again."""
        try:
            return self.read_state()
        except ValueError as error:
            with writing(self.folder):
                moved = set_aside(self.folder / STATE, self.damaged)
            state = pieced_together(self._intact())
            yield Notice(
                f"{self.name}/{STATE} is damaged: {error}; it was moved to "
                f"damaged/{moved.name} and made again from the artifacts"
            )
            if state is not None:
                self._save(state)
            return state

    def save_photo(self, photo: Path, sha256: str) -> State:
        """Make this the workspace of a photo."""
        state = State({"name": photo.name, "path": str(photo.resolve()), "sha256": sha256})
        self._save(state)
        return state

    def _save(self, state: State) -> None:
        with writing(self.folder):
            write_sealed(self.folder / STATE, state.to_json())

    def _intact(self) -> Iterator[Artifact]:
        for folder in sorted(self.artifacts.glob("*-*")):
            with suppress(ArtifactCorrupt):
                yield read_artifact(folder)

    # --------------------------------------------------------------------------- artifacts

    def find(self, request: Request) -> Job[Artifact | None]:
        """Return a valid artifact, or None; one that is damaged is named and set aside."""
        fingerprint = request.fingerprint
        if fingerprint in self._verified:
            return self._verified[fingerprint]
        folder = self.artifacts / request.folder_name
        if not folder.exists():
            return None
        try:
            artifact = read_artifact(folder)
        except ArtifactCorrupt as error:
            with writing(self.folder):
                moved = set_aside(folder, self.damaged)
            yield Notice(f"{error}; it was moved to damaged/{moved.name} and is made again")
            return None
        self._verified[fingerprint] = artifact
        return artifact

    def verified(self, fingerprint: str) -> Artifact | None:
        """Return an artifact that was found, kept or lent since the lock was taken."""
        return self._verified.get(fingerprint)

    @contextmanager
    def draft(self, request: Request) -> Iterator[Draft]:
        """Yield a draft for an artifact; it is gone on leaving unless it was kept."""
        with writing(self.folder), open_draft(self.artifacts, request) as draft:
            yield draft

    def keep(self, draft: Draft, request: Request, recorded: Mapping[str, Any]) -> Artifact:
        """Make a draft the artifact of a request. recorded is kept beside it in the manifest."""
        made = commit(draft, request, recorded)
        self._verified[request.fingerprint] = made
        return made

    def current_request(self, stage: str) -> Job[Request]:
        """Return what the current artifact of a stage was asked to be. Raises StageMissing."""
        state = yield from self.load_state()
        request = None if state is None else state.request(stage)
        if request is None:
            command = STAGES[stage].command
            raise StageMissing(f"{self.name} has no {stage} result yet: run `{command}` first")
        return request

    def make_current(self, artifact: Artifact) -> None:
        """Make an artifact the current one of its stage, and show the current pictures at the top.

        Pictures of stages that no longer have a current artifact are taken away; the artifacts
        themselves stay.
        """
        state = self.read_state()
        if state is None:
            raise ValueError(f"{self.folder} has no {STATE}")
        after = state.with_current(artifact.request)
        if after != state:
            self._save(after)
        with writing(self.folder):
            for stage in STAGES.values():
                fingerprint = after.current.get(stage.name)
                if fingerprint in self._verified:
                    self._show(self._verified[fingerprint])
                elif fingerprint is None:
                    for name in stage.shows:
                        (self.folder / name).unlink(missing_ok=True)

    def forget_made(self) -> None:
        """Have no current artifact any more, and no picture at the top; the artifacts stay.

        Raises ValueError when workspace.json is damaged.
        """
        state = self.read_state()
        if state is None:
            raise ValueError(f"{self.folder} has no {STATE}")
        self._save(State(state.photo))
        with writing(self.folder):
            for stage in STAGES.values():
                for name in stage.shows:
                    (self.folder / name).unlink(missing_ok=True)

    def discard(self) -> None:
        """Take the workspace away, at once for whoever is about to write into it."""
        gone = self.folder.with_name(f".{self.folder.name}.{uuid.uuid4().hex}.gone")
        try:
            self.folder.rename(gone)
        except OSError:  # Windows moves no folder in which a file is open
            gone = self.folder
        shutil.rmtree(gone, ignore_errors=True)

    def lend(self, artifact: Artifact) -> None:
        """Let stages here stand on a verified artifact of another workspace."""
        self._verified[artifact.fingerprint] = artifact

    def adopt(self, artifact: Artifact) -> Job[Artifact]:
        """Copy an artifact of another workspace to this one, unless it is there."""
        found = yield from self.find(artifact.request)
        if found is None:
            with writing(self.folder):
                found = adopt(artifact, self.artifacts)
            self._verified[artifact.fingerprint] = found
        return found

    def outside_file(self, name: str, sha256: str, hint: str | None) -> Path:
        """Find a file from outside: where it was, or its copy in an artifact, damaged or not.

        Raises WorkspaceInvalid when it is gone or has changed.
        """
        places = [Path(hint)] if hint else []
        places += [*self.artifacts.glob(f"*/{name}.*"), *self.damaged.glob(f"*/{name}.*")]
        for place in places:
            with suppress(OSError):
                if file_sha256(place) == sha256:
                    return place
        was = f" (it was {hint})" if hint else ""
        raise WorkspaceInvalid(
            f"{self.name}: the {name} this was made from is gone or has changed{was}; put it back, "
            "or run the commands from `realdrag invert PHOTO` on again"
        )

    def picture(self, artifact: Artifact, name: str) -> str:
        """Return the artifact's file behind a picture at the top.

        A generator tuned for several photos has a picture for each, in the order of its inputs.
        """
        if name != "tuned.png":
            return name
        state = self.read_state()
        own = "" if state is None else state.current.get("invert", "")
        return tuned_picture(artifact, own)

    def _show(self, artifact: Artifact) -> None:
        files: Mapping[str, Any] = artifact.manifest["files"]
        for name in STAGES[artifact.request.stage].shows:
            source, target = self.picture(artifact, name), self.folder / name
            if source not in files:
                target.unlink(missing_ok=True)
            elif not target.exists() or file_sha256(target) != artifact.file_sha256(source):
                replace_file(target, artifact.path(source).read_bytes())


def _holder(path: Path) -> str:
    try:
        said = json.loads(path.read_text())
        return f"process {said['pid']} ({said['command']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
