"""What a workspace remembers: its photo, and which artifacts are the present ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.disk.artifact import FILE_PREFIX, Artifact, Request
from pipeline.stage_table import STAGES


@dataclass(frozen=True)
class State:
    """What workspace.json holds: the photo, and which artifacts are the present ones.

    requests has what the current artifacts and all they stand on were asked to be, so that a
    damaged one can be made again.
    """

    photo: Mapping[str, str]
    current: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, Request] = field(default_factory=dict)

    def request(self, stage: str) -> Request | None:
        """Return what the current artifact of a stage was asked to be."""
        return self.requests.get(self.current.get(stage, ""))

    def with_current(self, request: Request) -> State:
        """Make an artifact the current one of its stage; later stages stay if they stand on it."""
        current = {**self.current, request.stage: request.fingerprint}
        known = {**self.requests, request.fingerprint: request}
        for stage in STAGES.values():
            made = known.get(current.get(stage.name, ""))
            if made is None:
                current.pop(stage.name, None)
            elif not stage.stands(made.inputs, current):
                del current[stage.name]
        wanted: dict[str, Request] = {}
        pending = list(current.values())
        while pending:
            fingerprint = pending.pop()
            if fingerprint in known and fingerprint not in wanted:
                wanted[fingerprint] = known[fingerprint]
                pending += known[fingerprint].inputs.values()
        return State(self.photo, current, wanted)

    def to_json(self) -> dict[str, Any]:
        """Return plain containers that `from_json` understands."""
        return {
            "version": 1,
            "photo": dict(self.photo),
            "current": dict(self.current),
            "requests": {name: request.to_json() for name, request in self.requests.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> State:
        """Read what `to_json` wrote."""
        requests = {name: Request.from_json(each) for name, each in data["requests"].items()}
        return cls(data["photo"], data["current"], requests)


def pieced_together(artifacts: Iterable[Artifact]) -> State | None:
    """Take the newest artifacts that fit together for the present ones; None without a photo."""
    newest = sorted(artifacts, key=lambda each: str(each.manifest["created"]), reverse=True)
    known = {artifact.fingerprint: artifact.request for artifact in newest}
    aligned = next((each for each in newest if each.request.stage == "align"), None)
    if aligned is None:
        return None
    path = aligned.request.hints.get("photo", "")
    sha256 = aligned.request.inputs["photo"].removeprefix(FILE_PREFIX)
    state = State({"name": Path(path).name, "path": path, "sha256": sha256})
    for stage in STAGES.values():
        for artifact in newest:
            stands = stage.stands(artifact.request.inputs, state.current)
            if artifact.request.stage == stage.name and stands:
                state = State(state.photo, state.current, {**known, **state.requests})
                state = state.with_current(artifact.request)
                break
    return state
