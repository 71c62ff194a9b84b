"""Open a photo, prepare it, drag points of the face: what the commands do, from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from drag.config import DragConfig
from drag.points import DragPoint, PointsFile, Space
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.jobs import edit as jobs
from pipeline.machine.bench import Bench
from pipeline.picture.photo import read_photo, write_photo
from pipeline.progress import Event, Job, follow
from pipeline.settings.recipe import PARTS, Recipe, config_from_json, config_to_json

XY = tuple[float, float]
Points = Sequence["DragPoint | tuple[XY, XY]"]
Progress = Callable[[Event], object]


@dataclass(frozen=True)
class FoundFace:
    """A face in a photo: its number from 1, the largest first, and where it is.

    box is (left, top, right, bottom), eyes_mouth the eyes, the nose and the corners of the mouth,
    [5, 2], both xy in pixels of the photo.
    """

    number: int
    box: tuple[float, float, float, float]
    eyes_mouth: npt.NDArray[np.float64]


def open(
    path: str | Path,
    *,
    network: str = "embedded",
    face: int | None = None,
    workspace: str | Path | None = None,
    device: str = "auto",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> Photo:
    """Open a photo: find its faces, cut one out, in the photo's workspace.

    network is a known network's name or a file. face counts from 1, the largest first; None takes
    the largest. workspace is the folder for it, `NAME.realdrag` in the current folder when None.
    recipe holds every other setting; network and face given here go before it. Raises
    PhotoUnreadable, NoFaceFound, WeightsInvalid, DownloadFailed, DeviceUnavailable.
    """
    chosen = recipe or Recipe()
    chosen = Recipe.from_json(
        {
            **chosen.to_json(),
            "network": network if recipe is None or network != "embedded" else recipe.network,
            "align": {
                **config_to_json(chosen.align),
                **({} if face is None else {"face": face}),
            },
        }
    )
    bench = Bench(device, report=progress)
    folder = None if workspace is None else Path(workspace)
    job = jobs.align(Path(path), chosen, bench, parent=Path.cwd(), folder=folder)
    made = _run(job, progress)
    return Photo(Path(path), made, chosen, bench)


class Photo:
    """A photo that is open: its faces, its workspace, and what can be done with it."""

    def __init__(self, path: Path, workspace: Workspace, recipe: Recipe, bench: Bench) -> None:
        self.path = path
        self.recipe = recipe
        self._workspace = workspace
        self._bench = bench

    @property
    def folder(self) -> Path:
        """The workspace, where every stage keeps its result and the pictures lie."""
        return self._workspace.folder

    @property
    def faces(self) -> list[FoundFace]:
        """The faces that were found, the largest first; none when the photo is not aligned."""
        found = self._made("align").info["faces"]
        return [
            FoundFace(
                number, cast(Any, tuple(each["box"])), np.array(each["eyes_mouth"], np.float64)
            )
            for number, each in enumerate(found, start=1)
        ]

    @property
    def aligned(self) -> npt.NDArray[np.uint8]:
        """The face that is dragged, uint8 [R, R, 3]."""
        return self._picture("align", "aligned.png")

    def prepare(self, progress: Progress | None = None) -> Photo:
        """Project the face and tune the network for it, unless that lies in the workspace already.

        progress gets an event for every step, stage and notice; `print` will do.
        """
        self._bench.listen(progress)
        folder = self._workspace.folder
        _run(
            jobs.invert(self.path, self.recipe, self._bench, parent=folder.parent, folder=folder),
            progress,
        )
        _run(jobs.tune([self._workspace], self.recipe, self._bench), progress)
        return self

    def drag(
        self,
        points: Points,
        *,
        mask: str | Path | npt.NDArray[Any] | None = None,
        space: Space = "photo",
        progress: Progress | None = None,
        **settings: Any,
    ) -> Edit:
        """Move the content at each handle to its target, and put the face back into the photo.

        points are pairs ((x, y), (x, y)) of handle and target, or DragPoints, in pixels of the
        photo (of the aligned face with space="aligned"). mask is a file, or bool or uint8 [H, W] of
        the space's size: what is true or white may change. settings are those of DragConfig. What
        is not prepared yet is prepared first. Raises PointsInvalid, RecipeInvalid, DragDiverged.
        """
        recipe = Recipe.from_json(
            {**self.recipe.to_json(), "drag": {**config_to_json(self.recipe.drag), **settings}}
        )
        pairs = tuple(p if isinstance(p, DragPoint) else DragPoint(*p) for p in points)
        self.prepare(progress)
        with tempfile.TemporaryDirectory() as folder:
            asked = PointsFile(space, pairs, _mask_file(mask, Path(folder)))
            job = jobs.drag(self._workspace, jobs.DragRequest(asked), recipe, self._bench)
            dragged = _run(job, progress)
        return Edit(self, dragged, self._made("result"), pairs)

    def _made(self, stage: str) -> Artifact:
        job = self._workspace.current_request(stage)
        request = _run(job, None)
        found = _run(self._workspace.find(request), None)
        if found is None:
            raise StageMissing(f"{self._workspace.name}: its {stage} result is damaged: open it again")
        return found

    def _picture(self, stage: str, name: str) -> npt.NDArray[np.uint8]:
        return read_photo(self._made(stage).path(name)).pixels
