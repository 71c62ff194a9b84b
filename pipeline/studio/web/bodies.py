"""What the page sends as JSON, checked: an unknown key is an error, and so is a NaN."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.studio.edits import MAX_POINTS

XY = Annotated[list[float], Field(min_length=2, max_length=2)]


class Strict(BaseModel):
    """A body in which unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Pair(Strict):
    """A handle and where it should go, in pixels of the aligned face."""

    handle: XY
    target: XY


class NumberedPair(Pair):
    """A pair that is there already, by its number, or a new one without."""

    number: Annotated[int, Field(ge=1, le=10**6)] | None = None


class Points(Strict):
    """All points, in place of those that are there."""

    points: Annotated[list[Pair], Field(max_length=MAX_POINTS)]


class PointsChange(Strict):
    """What was done to points: some put where they are, some taken away by their numbers."""

    what: Literal["add", "move", "pin", "mirror", "remove", "clear", "points"]
    put: Annotated[list[NumberedPair], Field(max_length=MAX_POINTS)] = []
    remove: Annotated[list[int], Field(max_length=MAX_POINTS)] = []


class Amounts(Strict):
    """Controls of the face by name, -1 to 1, in place of those that are set."""

    controls: Annotated[dict[str, float], Field(max_length=100)]


class Landmarks(Strict):
    """Eyes and mouth corners in pixels of the photo."""

    eyes: Annotated[list[XY], Field(min_length=2, max_length=2)]
    mouth: Annotated[list[XY], Field(min_length=2, max_length=2)]


class Choice(Strict):
    """How the face is taken: one of those found, marked by hand, or the whole picture.

    Nothing of it takes up again what was chosen before.
    """

    face: Annotated[int, Field(ge=1, le=1000)] | None = None
    landmarks: Landmarks | None = None
    align: Literal["none"] | None = None


class NewName(Strict):
    """What a photo is called from now on."""

    name: Annotated[str, Field(min_length=1, max_length=60)]


class NetworkChoice(Strict):
    """A network of the studio's list, by its id."""

    network: Annotated[str, Field(min_length=1, max_length=255)]


class Action(Strict):
    """What a job is to do."""

    action: Literal["pause", "continue", "stop"]


class Drift(BaseModel):
    """How well a handle can be told from its surroundings: if little, it may drift.

    better is then a point nearby that holds better, if there is one. All in pixels of the aligned
    face.
    """

    handle: XY
    distinctness: float
    may_drift: bool
    better: XY | None
