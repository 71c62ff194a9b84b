"""Getting the artifact that is asked for: the one on disk, or a new one that a stage computes."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.disk.artifact import FILE_PREFIX, Artifact, Request
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.machine.bench import Bench
from pipeline.machine.memory import give_back_memory
from pipeline.progress import Job, StageDone, StageStarted
from pipeline.stage_table import STAGES
from pipeline.stages.work import Work, compute


def obtain(workspace: Workspace, request: Request, bench: Bench) -> Job[Artifact]:
    """Return the artifact that a request asks for: the one on disk, or a new one.

    Inputs that are damaged are made again first.
    """
    found = yield from workspace.find(request)
    if found is not None:
        yield _done(found, reused=True)
        return found
    stage = STAGES[request.stage]
    if request.version != stage.version:
        raise WorkspaceInvalid(
            f"{workspace.name}: its {stage.name} result was made by another version of realdrag "
            f"and is damaged or gone: run `{stage.command}` again"
        )
    inputs, files = yield from _inputs(workspace, request, bench)
    yield StageStarted(request.stage)
    started = time.monotonic()
    with workspace.draft(request) as draft:
        settled = yield from compute(Work(request, inputs, files, draft, bench))
        request = request.with_config(**settled)
        found = yield from workspace.find(request)
        if found is None:
            recorded = {"seconds": round(time.monotonic() - started, 3), **bench.record()}
            found = workspace.keep(draft, request, recorded)
    give_back_memory()
    yield _done(found, reused=False)
    return found


def current(workspace: Workspace, stage: str, bench: Bench) -> Job[Artifact]:
    """Return the current artifact of a stage, made again if it is damaged.

    Raises StageMissing when there is none.
    """
    request = yield from workspace.current_request(stage)
    found = yield from workspace.find(request)
    return found if found is not None else (yield from obtain(workspace, request, bench))


def _inputs(
    workspace: Workspace, request: Request, bench: Bench
) -> Job[tuple[dict[str, Artifact], dict[str, Path]]]:
    state = workspace.read_state()
    inputs: dict[str, Artifact] = {}
    files: dict[str, Path] = {}
    for name, value in request.inputs.items():
        if value.startswith(FILE_PREFIX):
            sha256 = value.removeprefix(FILE_PREFIX)
            files[name] = workspace.outside_file(name, sha256, request.hints.get(name))
            continue
        found = workspace.verified(value)
        if found is None:
            asked = None if state is None else state.requests.get(value)
            if asked is None:
                raise WorkspaceInvalid(
                    f"{workspace.name}: what {request.stage} stands on ({name}) is not in this "
                    f"workspace; run `realdrag {request.stage}` again"
                )
            found = yield from workspace.find(asked)
            if found is None:
                found = yield from obtain(workspace, asked, bench)
        inputs[name] = found
    return inputs, files


def _done(artifact: Artifact, *, reused: bool) -> StageDone:
    seconds = float(artifact.manifest["seconds"])
    return StageDone(artifact.request.stage, artifact.fingerprint, seconds, reused, artifact.info)
