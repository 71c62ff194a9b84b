"""A photo after a drag: what became of the points, and how it is saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from drag.points import DragPoint
from pipeline.disk.artifact import Artifact
from pipeline.jobs.film import FORMATS, Format
from pipeline.picture.photo import read_photo
from pipeline.picture.photo_writer import PhotoNotWritable, write_photo
from stylegan2.arrays import UInt8Image

if TYPE_CHECKING:
    from realdrag.photo import Photo


class Edit:
    """A photo after a drag."""

    def __init__(
        self,
        photo: Photo,
        points: tuple[DragPoint, ...],
        made: Mapping[str, Artifact],
        film: Callable[[Format, bool, Path], None],
    ) -> None:
        """Take what the stages made, by their names, and what films the photo's last drag."""
        self.photo = photo
        self.points = points
        self._aligned, self._dragged, self._result = made["align"], made["drag"], made["result"]
        self._film = film

    @property
    def stop(self) -> str:
        """Why the drag ended: a value of drag.stopping.StopReason, "arrived" and others."""
        return str(self._dragged.info["stop"])

    @property
    def looks(self) -> float:
        """How the edit looks, by measure: 0 (broken), 1 (visible faults), 2 (fine), 3 (a photo)."""
        return float(self._dragged.info["looks"])

    @property
    def share(self) -> float:
        """The share of the points' way that the photo went; below 1 it would have looked broken."""
        return float(self._dragged.info["share"])

    @property
    def distances(self) -> list[float]:
        """How far each handle is from its target, in pixels of the aligned face."""
        return [float(each) for each in self._dragged.info["distances"]]

    @property
    def pixels(self) -> UInt8Image:
        """The whole edited photo, uint8 [H, W, 3], upright, in the photo's own colour space."""
        asked = self._result.request.config["result"]
        return read_photo(self._result.path(f"result.{asked['format']}")).pixels

    def save(
        self, path: str | Path, *, keep_gps: bool = False, strip_metadata: bool = False
    ) -> None:
        """Write the photo, in the format that the name's ending says. Raises PhotoNotWritable.

        The colour profile and the camera's data stay, the position only with keep_gps, and with
        strip_metadata the profile alone. The metadata says that the picture was edited.
        """
        original = read_photo(self._aligned.path(self._aligned.info["photo"]))
        write_photo(self.pixels, path, original, keep_gps=keep_gps, strip_metadata=strip_metadata)

    def film(self, path: str | Path, *, annotated: bool = False) -> None:
        """Write the drag as a film: MP4, GIF or WebP, as the name's ending says.

        annotated draws the points and their ways. Raises PhotoNotWritable for another ending, and
        ValueError when the photo has been dragged again since.
        """
        format = FORMATS.get(Path(path).suffix.lower())
        if format is None:
            raise PhotoNotWritable(f"{path}: a film ends in {', '.join(FORMATS)}")
        state = self.photo.workspace.read_state()
        if state is None or state.current.get("drag") != self._dragged.fingerprint:
            raise ValueError("the photo has been edited again since: film an edit before the next")
        self._film(format, annotated, Path(path))
