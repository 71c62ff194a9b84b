"""Where the parts of the shown face are, for a page that names them and places points on them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipeline.disk.workspace import Workspace
from pipeline.studio.desk import Desk

if TYPE_CHECKING:
    from inversion.faces.irises import Eye
    from pipeline.jobs.seen_faces import SeenFace

MOST_KEPT = 16
"""Faces; undo and redo come back to them."""


class FaceLandmarks:
    """Finds 68 landmarks in the faces that are shown, and keeps the last. Ask it in any thread."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._kept: dict[str, SeenFace] = {}

    def of(self, workspace: Workspace) -> list[list[float]]:
        """Return the points in iBUG order, xy in pixels of the aligned face.

        None for a picture that was taken as it is: it may be no face. Raises StageMissing.
        """
        seen = self._face(workspace)
        return [] if seen is None else [[round(float(v), 2) for v in xy] for xy in seen.points]

    def eyes(self, workspace: Workspace) -> tuple[Eye, Eye] | None:
        """Return the eyes of the shown face; None where no irises are seen. Raises StageMissing."""
        seen = self._face(workspace)
        return None if seen is None else seen.eyes

    def _face(self, workspace: Workspace) -> SeenFace | None:
        aligned = self._desk.aligned(workspace)
        if aligned.request.config["align"] == "none":
            return None
        dragged = self._desk.current(workspace, "drag")
        shown = aligned if dragged is None else dragged
        with self._lock:
            seen = self._kept.pop(shown.fingerprint, None)
            if seen is None:
                from pipeline.jobs.seen_faces import see_face
                from pipeline.stages.artifact_files import read_pixels

                name = "aligned.png" if dragged is None else "edited.png"
                seen = see_face(read_pixels(shown, name))
            self._kept[shown.fingerprint] = seen
            for oldest in list(self._kept)[:-MOST_KEPT]:
                del self._kept[oldest]
            return seen
