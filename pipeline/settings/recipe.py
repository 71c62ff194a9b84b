"""A recipe: everything that is chosen between a photo and its edit, but for the points."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drag.config import DragConfig
from inversion.config import PERCEPTUAL_CHOICES, ProjectionConfig
from pipeline.settings.schema import RecipeInvalid, config_from_json, config_to_json
from pti.config import TuningConfig
from stylegan2.embedded import EMBEDDED


@dataclass(frozen=True)
class AlignConfig:
    """How the face is found and cut out."""

    align: str = field(
        default="auto",
        metadata={
            "help": "Find the face and cut it out as FFHQ does, or take the whole picture "
            "(none: it is aligned already, or no face; so it is always for networks whose pictures "
            "are not square).",
            "choices": ("auto", "none"),
            "source": "FFHQ's alignment: Karras et al. 2019 (arXiv 1812.04948), appendix A",
        },
    )
    landmark_source: str = field(
        default="auto",
        metadata={
            "help": "What finds the face.",
            "choices": ("auto", "face-alignment", "offline"),
            "source": "face-alignment: Bulat and Tzimiropoulos 2017 (arXiv 1703.07332); offline "
            "is ours, its card is inversion/faces/weights/FINDER_CARD.md",
        },
    )
    face: int | None = field(
        default=None,
        metadata={
            "help": "Which face, counted from 1 by size; left out, the largest.",
            "min": 1,
            "source": "ours: who is meant is most often nearest to the camera",
        },
    )

    def __post_init__(self) -> None:
        """Refuse what does not go together: raises ValueError."""
        if self.align == "none" and self.face is not None:
            raise ValueError(
                "face says which face is cut out, align none cuts out none: choose one"
            )


@dataclass(frozen=True)
class ResultConfig:
    """How the edited photo is written."""

    format: str = field(
        default="png",
        metadata={
            "help": "File format of the result.",
            "choices": ("png", "jpg", "webp"),
            "source": "ours: PNG keeps every pixel outside the face as it was",
        },
    )
    paste: str = field(
        default="auto",
        metadata={
            "help": "What the face is made of: the photo's own pixels, moved as the network's "
            "picture of the face moved (photo); those, and the network's inside of a mouth that "
            "was closed and is opened, or all of a tuned network's where that looks better (auto); "
            "or what the network rendered, mixed into the photo (network).",
            "choices": ("auto", "photo", "network"),
            "source": "ours: see pipeline/picture/motion.py; network is what the papers show",
        },
    )
    force: bool = field(
        default=False,
        metadata={
            "help": "Move the points all the way, even where the photo looks broken.",
            "source": "ours, measured: pipeline/stages/guard.py",
        },
    )
    keep_gps: bool = field(
        default=False,
        metadata={
            "help": "Keep the position where the photo was taken.",
            "source": "ours: who is sent an edited picture need not learn where it was taken",
        },
    )
    strip_metadata: bool = field(
        default=False,
        metadata={
            "help": "Leave out all that the photo says of its making: camera, time, names.",
            "source": "ours: the colour profile stays, and so does the mark of an edited picture",
        },
    )

    def __post_init__(self) -> None:
        """Refuse what does not go together: raises ValueError."""
        if self.keep_gps and self.strip_metadata:
            raise ValueError(
                "keep_gps asks for a part of what strip_metadata leaves out: choose one"
            )


PARTS: Mapping[str, type[Any]] = {
    "align": AlignConfig,
    "invert": ProjectionConfig,
    "tune": TuningConfig,
    "drag": DragConfig,
    "result": ResultConfig,
}
"""The config of each stage, by the stage's name."""


@dataclass(frozen=True)
class Recipe:
    """Everything that is chosen between a photo and its edit, but for the points."""

    network: str = EMBEDDED
    perceptual: str = "auto"
    seed: int = 0
    align: AlignConfig = field(default_factory=AlignConfig)
    invert: ProjectionConfig = field(default_factory=ProjectionConfig)
    tune: TuningConfig = field(default_factory=TuningConfig)
    drag: DragConfig = field(default_factory=DragConfig)
    result: ResultConfig = field(default_factory=ResultConfig)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Build a recipe from JSON; what is left out takes its default. Raises RecipeInvalid."""
        known = [each.name for each in dataclasses.fields(cls)]
        values: dict[str, Any] = {}
        for name, value in data.items():
            if name not in known:
                raise RecipeInvalid(f"unknown part {name!r}; known are {', '.join(known)}")
            if name in PARTS:
                if not isinstance(value, Mapping):
                    raise RecipeInvalid(f"{name} must be an object, got {value!r}")
                try:
                    values[name] = config_from_json(PARTS[name], value)
                except RecipeInvalid as error:
                    raise RecipeInvalid(f"{name}: {error}") from None
            else:
                values[name] = value
        recipe = cls(**values)
        if not isinstance(recipe.network, str) or not recipe.network:
            raise RecipeInvalid(f"network must be a name or a path, got {recipe.network!r}")
        if recipe.perceptual not in PERCEPTUAL_CHOICES:
            raise RecipeInvalid(f"perceptual must be one of {', '.join(PERCEPTUAL_CHOICES)}")
        if not isinstance(recipe.seed, int) or isinstance(recipe.seed, bool) or recipe.seed < 0:
            raise RecipeInvalid(f"seed must be a whole number from 0, got {recipe.seed!r}")
        return recipe

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values that `from_json` understands."""
        parts = {name: config_to_json(getattr(self, name)) for name in PARTS}
        return {
            "network": self.network, "perceptual": self.perceptual, "seed": self.seed, **parts
        }  # fmt: skip
