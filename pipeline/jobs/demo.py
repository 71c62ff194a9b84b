"""The demo: a portrait in the public domain, and points on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.disk.storage import writing
from pipeline.settings.recipe import Recipe

if TYPE_CHECKING:
    from drag.points import PointsFile

PHOTO = "eileen-collins.png"

POINTS = (
    ((225.0, 126.0), (209.0, 125.0)),
    ((226.0, 176.0), (214.0, 175.0)),
)
"""Tip of the nose and chin and where they go, in pixels of the photo: the head turns."""

RECIPE = Recipe()
"""Every setting at its default."""


def write_demo(folder: Path) -> tuple[Path, PointsFile]:
    """Write NASA's portrait of Eileen Collins (public domain, from scikit-image) into a folder."""
    from PIL import Image
    from skimage import data

    from drag.points import DragPoint, PointsFile

    path = folder / PHOTO
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            partial = path.with_name(f".{PHOTO}.part")
            Image.fromarray(data.astronaut()).save(partial, format="PNG")
            partial.replace(path)
    points = tuple(DragPoint(handle, target) for handle, target in POINTS)
    return path, PointsFile("photo", points)
