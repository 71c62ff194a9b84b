"""What a person has in the making for a photo: faces, points, mask, settings, and every edit.

It lies in the workspace, so that a reload or a restart loses nothing. Positions are in pixels of
the aligned face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from pipeline.disk.artifact import set_aside
from pipeline.disk.storage import read_sealed, replace_file, write_sealed, writing
from stylegan2.hashing import bytes_sha256

FOLDER = "studio"
SKETCH = "sketch.json"
VERSION = 1
MAX_EDITS = 300


class Pair(TypedDict):
    """A handle and its target, xy, and the number that it keeps for as long as it is there."""

    number: int
    handle: list[float]
    target: list[float]


What = Literal[
    "start",
    "points",
    "add",
    "move",
    "pin",
    "mirror",
    "controls",
    "remove",
    "clear",
    "area",
    "drag",
    "reset",
    "elsewhere",
]
"""What an edit did; "elsewhere" is what a command did in the meantime."""


@dataclass(frozen=True)
class Edit:
    """The state after one edit: points, controls, the mask's hash, and the drag that is shown.

    number is that of the point which the edit was about, if it was about one.
    """

    what: What
    points: tuple[Pair, ...] = ()
    mask: str | None = None
    drag: str | None = None
    number: int | None = None
    controls: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` understands."""
        return {
            "what": self.what,
            "points": list(self.points),
            "mask": self.mask,
            "drag": self.drag,
            "number": self.number,
            "controls": dict(self.controls),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Edit:
        """Read what `to_json` wrote, or what versions wrote that did not number points."""
        what: What = data["what"] if data["what"] in get_args(What) else "points"
        points = numbered(data["points"])
        number, controls = data.get("number"), data.get("controls", {})
        return cls(what, points, data["mask"], data["drag"], number, controls)


START = Edit("start")


def numbered(points: Sequence[Mapping[str, Any]]) -> tuple[Pair, ...]:
    """Number points that have none: the next ones after the highest there is."""
    following = count(max((each.get("number") or 0 for each in points), default=0) + 1)
    return tuple(
        Pair(
            number=each.get("number") or next(following),
            handle=each["handle"],
            target=each["target"],
        )
        for each in points
    )


@dataclass(frozen=True)
class Sketch:
    """Everything the studio remembers of a workspace beyond its artifacts.

    found is what the search for faces gave (None before it); choice is how the face is taken:
    {"face": n}, {"landmarks": {...}} or {"align": "none"}. network is the one chosen for this
    photo, as a recipe names it; None leaves that to what has been made, or to the studio. aligned
    and tuned are the fingerprints of the alignment and of the tuned generator that the edits stand
    on; prepared is that of the alignment for which everything that a drag needs has been made.
    running names a job that was asked for and has not ended. made are the drags that were made from
    the page. given are points, in pixels of the photo, that are set once there is a face to set
    them on.
    """

    found: Mapping[str, Any] | None = None
    choice: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    aligned: str | None = None
    prepared: str | None = None
    tuned: str | None = None
    edits: tuple[Edit, ...] = (START,)
    at: int = 0
    running: str | None = None
    made: tuple[str, ...] = ()
    given: tuple[Mapping[str, Any], ...] = ()
    network: str | None = None

    @property
    def now(self) -> Edit:
        """The present edit."""
        return self.edits[self.at]

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit before the present one."""
        return self.at > 0

    @property
    def can_redo(self) -> bool:
        """Whether an edit has been undone."""
        return self.at + 1 < len(self.edits)

    def edited(self, edit: Edit) -> Sketch:
        """Add an edit after the present one; what had been undone is forgotten."""
        edits = (*self.edits[: self.at + 1], edit)[-MAX_EDITS:]
        return replace(self, edits=edits, at=len(edits) - 1)

    def moved(self, by: int) -> Sketch:
        """Undo (-1) or redo (+1); at either end nothing changes. A drag cut short is forgotten."""
        return replace(self, at=min(max(self.at + by, 0), len(self.edits) - 1), running=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` understands."""
        return {
            "version": VERSION,
            "found": self.found,
            "choice": self.choice,
            "settings": self.settings,
            "aligned": self.aligned,
            "prepared": self.prepared,
            "tuned": self.tuned,
            "edits": [edit.to_json() for edit in self.edits],
            "at": self.at,
            "running": self.running,
            "made": list(self.made),
            "given": list(self.given),
            "network": self.network,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sketch:
        """Read what `to_json` wrote. Raises ValueError when it is something else."""
        if data.get("version") != VERSION:
            raise ValueError("it is of another version")
        try:
            edits = tuple(Edit.from_json(edit) for edit in data["edits"])
            sketch = cls(
                data["found"],
                data["choice"],
                data["settings"],
                data.get("aligned"),
                data.get("prepared"),
                data["tuned"],
                edits,
                data["at"],
                data["running"],
                tuple(data.get("made", ())),
                tuple(data.get("given", ())),
                data.get("network"),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("its content is not understood") from error
        if not 0 <= sketch.at < len(edits):
            raise ValueError("its content is not understood")
        return sketch


def studio_folder(workspace: Path) -> Path:
    """Return the studio's folder in a workspace, made if need be."""
    folder = workspace / FOLDER
    with writing(workspace):
        folder.mkdir(exist_ok=True)
    return folder


def load_sketch(workspace: Path) -> Sketch:
    """Read a workspace's sketch; a damaged one is set aside, and an empty one takes its place."""
    path = workspace / FOLDER / SKETCH
    try:
        return Sketch.from_json(read_sealed(path))
    except FileNotFoundError:
        return Sketch()
    except ValueError:
        with writing(workspace):
            set_aside(path, workspace / "damaged")
        return Sketch()


def save_sketch(workspace: Path, sketch: Sketch) -> None:
    """Write a workspace's sketch."""
    folder = studio_folder(workspace)
    with writing(workspace):
        write_sealed(folder / SKETCH, sketch.to_json())


def keep_mask(workspace: Path, png: bytes) -> str:
    """Keep a mask under its hash, and return that."""
    name = bytes_sha256(png)
    folder = studio_folder(workspace) / "masks"
    with writing(workspace):
        folder.mkdir(exist_ok=True)
        if not (folder / f"{name}.png").exists():
            replace_file(folder / f"{name}.png", png)
    return name


def mask_path(workspace: Path, mask: str) -> Path:
    """Return where a mask lies."""
    return workspace / FOLDER / "masks" / f"{mask}.png"


def points_json(points: Sequence[Pair], mask: str | None) -> dict[str, Any]:
    """Return points in the layout of a points file, naming mask.png beside it if there is one."""
    pairs = [{"handle": each["handle"], "target": each["target"]} for each in points]
    plain: dict[str, Any] = {"version": 1, "space": "aligned", "points": pairs}
    return plain if mask is None else {**plain, "mask": "mask.png"}
