"""Open a photo, prepare it, drag points of the face: what the commands do, from Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from drag.points import DragPoint, PointsFile, Space
from pipeline.controls.directed import Directed, taken_out
from pipeline.controls.likeness import EXPRESSION, Like
from pipeline.controls.presets import added
from pipeline.controls.table import CONTROLS
from pipeline.disk.artifact import Artifact
from pipeline.disk.workspace import Workspace
from pipeline.jobs.controls import control_table
from pipeline.jobs.drag import DragRequest, drag
from pipeline.jobs.edit import begin
from pipeline.jobs.film import Format, film
from pipeline.jobs.obtain import current
from pipeline.jobs.prepare import align, invert, tune
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import identify
from pipeline.progress import Event, Job, follow
from pipeline.settings.recipe import Recipe
from pipeline.stages.artifact_files import read_pixels
from realdrag.edit import Edit
from stylegan2.arrays import UInt8Image

T = TypeVar("T")

XY = tuple[float, float]
Points = Sequence[DragPoint | tuple[XY, XY]]
Progress = Callable[[Event], object]


@dataclass(frozen=True)
class ControlRange:
    """A control on a face: what -1 and +1 do, its present measure, and from where to where.

    present is None where it cannot be seen: a gaze without an iris.
    """

    less: str
    more: str
    present: float | None
    low: float
    high: float


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
    network: str | None = None,
    face: int | None = None,
    workspace: str | Path | None = None,
    device: str = "auto",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> Photo:
    """Open a photo: find its faces, and cut one out, in the photo's workspace.

    network is a known network's name or a file; None is the embedded one. face counts from 1, the
    largest first; None takes the largest. workspace is the folder for it, `NAME.realdrag` in the
    current folder when None. recipe holds every other setting; network and face go before it.
    Raises PhotoUnreadable, NoFaceFound, WeightsInvalid, DownloadFailed, DeviceUnavailable.
    """
    asked = (recipe or Recipe()).to_json()
    if network is not None:
        asked["network"] = network
    if face is not None:
        asked["align"]["face"] = face
    opened = Photo(Path(path), Recipe.from_json(asked), device)
    opened.find(None if workspace is None else Path(workspace), progress)
    return opened


class Photo:
    """A photo that is open: its faces, its workspace, and what can be done with it.

    `realdrag.open` makes it. Networks are loaded when they are needed, and stay loaded with it.
    """

    def __init__(self, path: Path, recipe: Recipe, device: str) -> None:
        self.path = path
        self.recipe = recipe
        self._told: Progress | None = None
        self._bench = Bench(device, report=self._tell)
        self._workspace: Workspace | None = None
        self._start: Path | None = None

    @property
    def workspace(self) -> Workspace:
        """Where every stage keeps its result; its `folder` holds the pictures."""
        if self._workspace is None:
            raise ValueError("the photo is not open: realdrag.open opens it")
        return self._workspace

    @property
    def faces(self) -> list[FoundFace]:
        """The faces that were found, the largest first; none where the photo is not aligned."""
        return [
            FoundFace(number, tuple(each["box"]), np.array(each["eyes_mouth"], np.float64))
            for number, each in enumerate(self._made("align").info["faces"], start=1)
        ]

    @property
    def aligned(self) -> UInt8Image:
        """The face that is dragged, uint8 [H, W, 3]."""
        return read_pixels(self._made("align"), "aligned.png")

    def find(self, folder: Path | None, progress: Progress | None = None) -> None:
        """Find the faces and cut one out, in `folder` or in the photo's own workspace."""
        job = align(self.path, self.recipe, self._bench, parent=Path.cwd(), folder=folder)
        self._workspace = self._run(job, progress)

    def prepare(
        self, progress: Progress | None = None, *, start: str | Path | None = None
    ) -> Photo:
        """Project the face and tune the network for it, unless that lies in the workspace already.

        progress gets an event for every step, stage and notice; `print` will do. start is a file
        with latents of another tool for this network: the projection goes on from there, by no
        steps unless the recipe says how many. Raises LatentsInvalid.
        """
        folder, bench = self.workspace.folder, self._bench
        self._start = None if start is None else Path(start)
        job = invert(
            self.path,
            self.recipe,
            bench,
            parent=folder.parent,
            folder=folder,
            start=self._start,
        )
        self._run(job, progress)
        self._run(tune([self.workspace], self.recipe, bench), progress)
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
        the drag needs and is not there yet is made first; to move the photo's own pixels that is
        next to nothing. Raises PointsInvalid, RecipeInvalid, DragDiverged.
        """
        asked = self.recipe.to_json()
        asked["drag"].update(settings)
        return self._edit(points, mask, space, progress, Recipe.from_json(asked))

    def _edit(
        self,
        points: Points,
        mask: str | Path | npt.NDArray[Any] | None,
        space: Space,
        progress: Progress | None,
        recipe: Recipe,
        controls: Mapping[str, float] | None = None,
        like: Like | None = None,
        directed: Directed | None = None,
    ) -> Edit:
        pairs = tuple(p if isinstance(p, DragPoint) else DragPoint(*p) for p in points)
        home, bench = self.workspace.folder, self._bench
        begun = begin(self.path, recipe, bench, parent=home.parent, folder=home, start=self._start)
        self._run(begun, progress)
        with tempfile.TemporaryDirectory() as folder:
            by_name = bool(controls) or like is not None or directed is not None
            file = PointsFile(space, pairs, _mask_file(mask, Path(folder)))
            asked = DragRequest(
                file if pairs or mask is not None or not by_name else None,
                controls=controls or {},
                like=like,
                directed=directed,
            )
            # A network that was tuned for the photo is dragged, else the one that was asked for.
            state = self.workspace.read_state()
            tuned = state is not None and state.request("tune") is not None
            network = None if tuned else identify(recipe.network, bench)
            job = drag(self.workspace, asked, recipe, bench, network)
            dragged = self._run(job, progress)
        made = {"align": self._made("align"), "drag": dragged, "result": self._made("result")}
        return Edit(self, pairs, made, self._film)

    def apply(
        self,
        amounts: Mapping[str, float] | None = None,
        *,
        like: str | Path | None = None,
        parts: Sequence[str] = EXPRESSION,
        strength: float = 1.0,
        directions: str | Path | Sequence[str | Path] = (),
        points: Points = (),
        mask: str | Path | npt.NDArray[Any] | None = None,
        space: Space = "photo",
        progress: Progress | None = None,
        **controls: float,
    ) -> Edit:
        """Apply controls of the face by name, -1 to 1: `apply(smile=0.6)`.

        amounts are the same as a mapping, as `read_preset` returns; both are added. like is another
        photo whose face this one is to look like, in some parts: mouth, eyes, brows, pose, or all.
        directions are files as `fit_directions` writes them, or those of others: their names go
        before controls' of the same name. points, mask and space as of `drag`. Raises
        ControlsInvalid, DirectionsInvalid, and what `drag` does.
        """
        wanted, directed = taken_out([amounts or {}, controls], _paths(directions))
        other = None if like is None else Like(Path(like), tuple(parts), strength)
        controls = added(*wanted)
        return self._edit(points, mask, space, progress, self.recipe, controls, other, directed)

    def controls(self, progress: Progress | None = None) -> dict[str, ControlRange]:
        """Return every control by name, with what the face measures and how far it can go."""
        table = self._run(control_table(self.workspace, self._bench), progress)
        return {
            name: ControlRange(CONTROLS[name].less, CONTROLS[name].more, **row)
            for name, row in table.items()
        }

    def _tell(self, event: Event) -> None:
        if self._told is not None:
            self._told(event)

    def _run(self, job: Job[T], progress: Progress | None) -> T:
        self._told = progress
        try:
            return follow(job, self._tell)
        finally:
            self._told = None

    def _film(self, format: Format, annotated: bool, path: Path) -> None:
        self._run(film(self.workspace, self._bench, format, annotated, path), None)

    def _made(self, stage: str) -> Artifact:
        return self._run(current(self.workspace, stage, self._bench), None)


def _paths(given: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]


def _mask_file(mask: str | Path | npt.NDArray[Any] | None, folder: Path) -> Path | None:
    """Return a mask's file; an array is written into folder."""
    if mask is None or isinstance(mask, str | Path):
        return None if mask is None else Path(mask)
    if mask.ndim != 2:
        raise ValueError(f"mask must be [H, W], got {mask.shape}")
    white = mask if mask.dtype == np.uint8 else mask.astype(bool).astype(np.uint8) * 255
    path = folder / "mask.png"
    Image.fromarray(white).save(path)
    return path
