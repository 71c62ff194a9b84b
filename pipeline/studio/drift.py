"""Whether the handles on the face that the page shows may drift."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.machine.bench import Bench
from pipeline.studio.desk import Desk
from pipeline.studio.sketch import PointPair

if TYPE_CHECKING:
    from torch import Tensor


MOST_KEPT = 4
"""Faces; a network of 1024 pixels has 16 MB of features each. Undo and redo come back to them."""


class DriftWatch:
    """Keeps the features of the faces it was asked about last: a point then takes milliseconds.

    It may be asked in any thread.
    """

    def __init__(self, desk: Desk, bench: Bench) -> None:
        self._desk = desk
        self._bench = bench
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], Tensor] = {}

    def check(self, workspace: Workspace, points: Sequence[PointPair]) -> list[dict[str, Any]]:
        """Describe each point's handle for the page; positions are in pixels of the aligned face.

        Raises StageMissing, ArtifactCorrupt.
        """
        if not points:
            return []
        features = self._features(workspace)
        from drag.distinctness import check_handles

        size = int(self._desk.aligned(workspace).info["size"])
        handles = [(point["handle"][0], point["handle"][1]) for point in points]
        return [
            {
                "handle": list(handle),
                "distinctness": round(check.distinctness, 3),
                "may_drift": check.may_drift,
                "better": None if check.better is None else [round(v, 2) for v in check.better],
            }
            for handle, check in zip(handles, check_handles(features, handles, size), strict=True)
        ]

    def _features(self, workspace: Workspace) -> Tensor:
        """Return the features of the tuned face, or of the drag's result that is shown."""
        invert, tune = (self._desk.current(workspace, stage) for stage in ("invert", "tune"))
        if invert is None or tune is None:
            raise StageMissing("this photo is not tuned yet")
        dragged = self._desk.current(workspace, "drag")
        face = tuple(each.fingerprint for each in (invert, tune, dragged) if each is not None)
        with self._lock:
            features = self._kept.pop(face, None)
            if features is None:
                features = self._compute(invert, tune, dragged)
            self._kept[face] = features
            for oldest in list(self._kept)[:-MOST_KEPT]:
                del self._kept[oldest]
            return features

    def _compute(self, invert: Artifact, tune: Artifact, dragged: Artifact | None) -> Tensor:
        from drag.distinctness import handle_features
        from pipeline.stages.artifact_files import DRAG, read_inversion, read_tensors, read_tuned

        device = self._bench.device
        inversion = read_inversion(read_artifact(invert.folder), device)
        generator = read_tuned(self._bench, invert, read_artifact(tune.folder))
        ws = inversion.w_pivot
        if dragged is not None:
            ws = read_tensors(read_artifact(dragged.folder), DRAG)["ws"].to(device)
        return handle_features(generator, inversion.noise_consts, ws)
