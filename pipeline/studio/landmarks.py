"""Where the parts of the shown face are, for a page that names them and places points on them."""

from __future__ import annotations

import threading

from pipeline.disk.workspace import Workspace
from pipeline.studio.desk import Desk

MOST_KEPT = 16
"""Faces; undo and redo come back to them."""


class FaceLandmarks:
    """Finds 68 landmarks in the faces that are shown, and keeps the last. Ask it in any thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._kept: dict[str, list[list[float]]] = {}

    def of(self, workspace: Workspace) -> list[list[float]]:
        """Return the points in iBUG order, xy in pixels of the aligned face.

        None for a picture that was taken as it is: it may be no face. Raises StageMissing.
        """
        aligned = self._desk.aligned(workspace)
        if aligned.request.config["align"] == "none":
            return []
        dragged = self._desk.current(workspace, "drag")
        shown = aligned if dragged is None else dragged
        with self._lock:
            points = self._kept.pop(shown.fingerprint, None)
            if points is None:
                from inversion.faces.landmark_network import load_landmarker
                from pipeline.stages.artifact_files import read_pixels

                name = "aligned.png" if dragged is None else "edited.png"
                found = load_landmarker().landmarks68(read_pixels(shown, name))
                points = [[round(float(v), 2) for v in xy] for xy in found]
            self._kept[shown.fingerprint] = points
            for oldest in list(self._kept)[:-MOST_KEPT]:
                del self._kept[oldest]
            return points
