"""Where a face's 68 points and its irises are, in a crop: found once, and kept in the workspace.

Finding them takes torch, which takes seconds to load; a request whose result is there needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.controls.presets import ControlsInvalid
from pipeline.disk.artifact import Artifact
from pipeline.disk.storage import read_sealed, write_sealed, writing
from pipeline.disk.workspace import Workspace

if TYPE_CHECKING:
    from inversion.faces.irises import Eye
    from stylegan2.arrays import Float64Array, UInt8Image

FILE = "faces.json"

VERSION = 1
"""Goes up whenever an equal picture would give other points or irises."""

MOST_KEPT = 32


@dataclass(frozen=True)
class SeenFace:
    """A face in its crop: 68 points [68, 2], in pixels, and both eyes; None: no irises are seen."""

    points: Float64Array
    eyes: tuple[Eye, Eye] | None


def face_in(workspace: Workspace, aligned: Artifact, shown: Artifact | None = None) -> SeenFace:
    """Find the face of a crop; shown is a drag whose picture counts instead. Needs the lock.

    Raises ControlsInvalid for a photo that was taken as it is: there need be no face in it.
    """
    if aligned.request.config["align"] == "none":
        raise ControlsInvalid(
            "controls need a face, and this photo was taken as it is (align none): drag points, "
            "or open the photo without that"
        )
    picture, name = (aligned, "aligned.png") if shown is None else (shown, "edited.png")
    faces = _kept(workspace)
    plain = faces.pop(picture.fingerprint, None)
    if plain is None:
        from pipeline.stages.artifact_files import read_pixels

        seen = see_face(read_pixels(picture, name))
        plain = _to_plain(seen)
    faces[picture.fingerprint] = plain
    for oldest in list(faces)[:-MOST_KEPT]:
        del faces[oldest]
    with writing(workspace.folder):
        write_sealed(workspace.folder / FILE, {"version": VERSION, "faces": faces})
    return _from_plain(plain)


def see_face(pixels: UInt8Image) -> SeenFace:
    """Find the 68 points and the irises of the face that fills a crop, uint8 [S, S, 3]."""
    import numpy as np

    from inversion.faces.irises import find_irises
    from inversion.faces.landmark_network import load_landmarker

    points = np.asarray(load_landmarker().landmarks68(pixels), np.float64)
    return SeenFace(points, find_irises(pixels, points))


def _kept(workspace: Workspace) -> dict[str, Any]:
    try:
        kept = read_sealed(workspace.folder / FILE)
    except (OSError, ValueError):
        return {}  # it is only a shortcut, and is written anew
    return dict(kept["faces"]) if kept.get("version") == VERSION else {}


def _to_plain(seen: SeenFace) -> dict[str, Any]:
    eyes = None
    if seen.eyes is not None:
        eyes = [{"iris": list(eye.iris), "radius": eye.radius} for eye in seen.eyes]
    return {"points": seen.points.tolist(), "eyes": eyes}


def _from_plain(plain: dict[str, Any]) -> SeenFace:
    import numpy as np

    from inversion.faces.irises import Eye
    from inversion.faces.shape68 import EYE_LEFT, EYE_RIGHT

    points = np.array(plain["points"], np.float64)
    if plain["eyes"] is None:
        return SeenFace(points, None)
    left, right = (
        Eye(points[list(marks)], (each["iris"][0], each["iris"][1]), each["radius"])
        for marks, each in zip((EYE_LEFT, EYE_RIGHT), plain["eyes"], strict=True)
    )
    return SeenFace(points, (left, right))
