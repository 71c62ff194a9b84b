"""Failures: which exit code and which HTTP status each of them means. The one table.

Classes are named here by their path, so that reading the table loads no torch. The message of
each says what to do next; it is written where the class is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

OK = 0
BUG = 1
BAD_INPUT = 2
NO_FACE = 3
WEIGHTS = 4
MACHINE = 5
SOME_FAILED = 6
CANCELLED = 130

EXIT_CODES: Mapping[int, str] = MappingProxyType(
    {
        OK: "done",
        BUG: "a bug in realdrag",
        BAD_INPUT: "bad input: an option, a points file, a setting",
        NO_FACE: "the photo cannot be read, or no face was found in it",
        WEIGHTS: "weights of a network are missing, damaged, or cannot be downloaded",
        MACHINE: "the workspace, the disk or the memory does not allow it",
        SOME_FAILED: "some photos of a batch failed; its report says which, and why",
        CANCELLED: "cancelled (Ctrl-C)",
    }
)

REPORT = "This is a bug in realdrag. Please report it with the lines above to the project's issues."


@dataclass(frozen=True)
class Failure:
    """What a failure means to a shell and to a browser."""

    kind: str
    exit_code: int
    http_status: int
    advice: str | None = None


def _table() -> Mapping[str, Failure]:
    rows: tuple[tuple[str, int, int], ...] = (
        ("drag.points.PointsInvalid", BAD_INPUT, 422),
        ("drag.session.DragDiverged", BAD_INPUT, 422),
        ("inversion.faces.fan.FaceAlignmentUnavailable", WEIGHTS, 503),
        ("inversion.faces.landmarks_file.LandmarksInvalid", BAD_INPUT, 422),
        ("inversion.faces.no_face.NoFaceFound", NO_FACE, 422),
        ("inversion.perceptual.PerceptualUnavailable", WEIGHTS, 503),
        ("pipeline.batch.batch.BatchRunning", MACHINE, 409),
        ("pipeline.batch.copies.CopyFailed", MACHINE, 502),
        ("pipeline.batch.photos.ListInvalid", BAD_INPUT, 422),
        ("pipeline.batch.ray_engine.RayMissing", BAD_INPUT, 503),
        ("pipeline.controls.presets.ControlsInvalid", BAD_INPUT, 422),
        ("pipeline.picture.photo_writer.PhotoNotWritable", BAD_INPUT, 422),
        ("pipeline.picture.photo.PhotoUnreadable", NO_FACE, 415),
        ("pipeline.disk.artifact.ArtifactCorrupt", MACHINE, 500),
        ("pipeline.machine.devices.DeviceUnavailable", BAD_INPUT, 422),
        ("pipeline.machine.joint_embedding.TextModelUnavailable", BAD_INPUT, 503),
        ("pipeline.settings.schema.RecipeInvalid", BAD_INPUT, 422),
        ("pipeline.disk.storage.StorageFailed", MACHINE, 507),
        ("pipeline.studio.desk.WorkspaceInUse", MACHINE, 409),
        ("pipeline.studio.desk.WorkspaceUnknown", BAD_INPUT, 404),
        ("pipeline.studio.housekeeping.NameTaken", BAD_INPUT, 409),
        ("pipeline.studio.web.limits.BodyStalled", BAD_INPUT, 408),
        ("pipeline.studio.web.limits.BodyTooLarge", BAD_INPUT, 413),
        ("pipeline.studio.web.serve.PortTaken", MACHINE, 409),
        ("pipeline.studio.worker.StudioBusy", MACHINE, 409),
        ("pipeline.disk.workspace.StageMissing", BAD_INPUT, 409),
        ("pipeline.disk.workspace.WorkspaceInvalid", MACHINE, 409),
        ("stylegan2.checkpoint.WeightsInvalid", WEIGHTS, 422),
        ("stylegan2.directions.DirectionsInvalid", BAD_INPUT, 422),
        ("stylegan2.directions.SpectrumFlat", BAD_INPUT, 422),
        ("stylegan2.formats.latents.LatentsInvalid", BAD_INPUT, 422),
        ("stylegan2.formats.layouts.UnsupportedNetwork", WEIGHTS, 422),
        ("stylegan2.formats.stored.UnsafeCheckpoint", WEIGHTS, 422),
        ("stylegan2.downloads.transfer.DownloadFailed", WEIGHTS, 502),
        ("stylegan2.zoo.HashMismatch", WEIGHTS, 502),
        ("stylegan2.zoo.UnknownNetwork", WEIGHTS, 404),
    )
    return MappingProxyType(
        {path: Failure(path.rsplit(".", 1)[1], code, status) for path, code, status in rows}
    )


FAILURES: Mapping[str, Failure] = _table()
"""Every failure of this project that is not a bug, by the path of its class."""

FOREIGN: Mapping[str, Failure] = MappingProxyType(
    {
        "builtins.KeyboardInterrupt": Failure("Cancelled", CANCELLED, 499),
        "builtins.MemoryError": Failure(
            "OutOfMemory", MACHINE, 507, "close other programs, or take a smaller network"
        ),
        "torch.OutOfMemoryError": Failure(
            "OutOfMemory", MACHINE, 507, "use --device cpu, or a smaller network"
        ),
    }
)
"""Failures that others raise."""


def failure_of(error: BaseException) -> Failure:
    """Look up what an exception means; a class that is not in the table is a bug."""
    for base in type(error).__mro__:
        path = f"{base.__module__}.{base.__qualname__}"
        for table in (FAILURES, FOREIGN):
            if path in table:
                return table[path]
    if isinstance(error, RuntimeError):
        # torch has no class of its own for memory that a CPU or an Apple GPU has not.
        if "DefaultCPUAllocator" in str(error):
            return FOREIGN["builtins.MemoryError"]
        if "MPS backend out of memory" in str(error):
            return FOREIGN["torch.OutOfMemoryError"]
    return Failure("Bug", BUG, 500)


def message_of(error: BaseException) -> str:
    """Return the words for the user: what happened, and what to do next."""
    failure = failure_of(error)
    text = str(error).strip() or type(error).__name__
    if failure.exit_code == CANCELLED:
        return "cancelled; what was finished is kept"
    return text if failure.advice is None else f"{text}: {failure.advice}"


def to_json(error: BaseException) -> dict[str, Any]:
    """Describe a failure for machines."""
    failure = failure_of(error)
    return {
        "event": "error",
        "kind": failure.kind,
        "message": message_of(error),
        "exit_code": failure.exit_code,
        "http_status": failure.http_status,
    }
