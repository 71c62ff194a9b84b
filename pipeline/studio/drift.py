"""Whether the handles on the face that the page shows may drift."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.disk.workspace import Workspace
from pipeline.machine.bench import Bench
from pipeline.studio.desk import Desk
from pipeline.studio.ground import ground_request, load_ground
from pipeline.studio.sketch import Pair
from stylegan2.sizes import longer_side

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
        self._kept: dict[str, Tensor] = {}

    def check(self, workspace: Workspace, points: Sequence[Pair]) -> list[dict[str, Any]]:
        """Describe each point's handle for the page; positions are in pixels of the aligned face.

        Raises StageMissing, ArtifactCorrupt.
        """
        if not points:
            return []
        features = self._features(workspace)
        from drag.distinctness import check_handles

        size = longer_side(self._desk.aligned(workspace).info["size"])
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
        """Return the features of the face as the network draws it, dragged if it has been."""
        request = ground_request(self._desk, workspace, self._bench)
        dragged = self._desk.current(workspace, "drag")
        face = request.fingerprint if dragged is None else dragged.fingerprint
        with self._lock:
            features = self._kept.pop(face, None)
            if features is None:
                from drag.distinctness import handle_features

                ground, ws = load_ground(self._desk, workspace, self._bench, request)
                features = handle_features(ground.generator, ground.noise_consts, ws)
            self._kept[face] = features
            for oldest in list(self._kept)[:-MOST_KEPT]:
                del self._kept[oldest]
            return features
