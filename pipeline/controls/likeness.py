"""One face made to look as another does: amounts of controls that give it the other's measures.

Few measures are taken over, not the other's shape: two faces at rest differ in the shape of mouth
and brows by as much as one face does when it smiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.controls.presets import DECIMALS, ControlsInvalid
from pipeline.controls.table import CONTROLS, SIDES

if TYPE_CHECKING:
    from inversion.faces.shape68 import Points
    from stylegan2.arrays import Float64Array

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "mouth": (*SIDES["smile"], "mouth", "mouth_width", "upper_lip"),
        "eyes": SIDES["eyes"],
        "brows": SIDES["brows"],
        "pose": ("turn", "nod", "tilt"),
    }
)
"""What can be taken over, and the controls that bring it about."""

EXPRESSION = ("mouth", "eyes", "brows")
"""The parts that are taken over unless others are named."""

STRONGEST = 1.2
"""So many times the other's measures is the most that can be asked."""

_ROUNDS, _NUDGE = 3, 0.05
"""Newton steps to the measures, and by how much each control is tried for them."""


@dataclass(frozen=True)
class Like:
    """Another photo, and what of its face is taken over: which parts, and how much of each.

    Raises ControlsInvalid for an unknown part, or a strength that is not 0 to `STRONGEST`.
    """

    photo: Path
    parts: tuple[str, ...] = EXPRESSION
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check both."""
        checked_parts(self.parts)
        if not 0 <= self.strength <= STRONGEST:
            raise ControlsInvalid(f"strength must be from 0 to {STRONGEST}, got {self.strength:g}")


def checked_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts by name; "all" is every one. Raises ControlsInvalid for an unknown name."""
    for name in names:
        if name != "all" and name not in PARTS:
            known = ", ".join((*PARTS, "all"))
            raise ControlsInvalid(f"there is no part {name!r} to take over: known are {known}")
    return tuple(name for name in PARTS if name in names or "all" in names)


def amounts_like(
    face: Points,
    other: Points,
    parts: Sequence[str] = EXPRESSION,
    strength: float = 1.0,
) -> dict[str, float]:
    """Return the amounts of controls that give a face another one's measures.

    face and other are [68, 2], in pixels of the two photos, so that a tilt is seen. strength is how
    much of the difference is taken over.
    """
    import numpy as np

    from pipeline.controls.macros import moved_face
    from pipeline.controls.measures import measures, reach

    used = [CONTROLS[name] for part in checked_parts(parts) for name in PARTS[part]]

    def read(points: Points) -> Float64Array:
        found = measures(points)
        # In units of what the control does, so that degrees and shares count alike.
        return np.array([found[control.measure] / control.rise for control in used])

    mine = read(face)
    goal = mine + strength * (read(other) - mine)
    ends = np.array([reach(control, measures(face)) for control in used])
    amounts = np.zeros(len(used))
    names = [control.name for control in used]
    for _ in range(_ROUNDS):
        now = read(moved_face(face, dict(zip(names, amounts, strict=True))))
        slopes = np.empty((len(used), len(used)))
        for i in range(len(used)):
            nudged = amounts.copy()
            nudged[i] += _NUDGE if amounts[i] >= 0 else -_NUDGE
            there = read(moved_face(face, dict(zip(names, nudged, strict=True))))
            slopes[:, i] = (there - now) / (nudged[i] - amounts[i])
        step = np.linalg.lstsq(slopes, goal - now, rcond=1e-2)[0]
        amounts = np.clip(amounts + step, ends[:, 0], ends[:, 1])
    rounded = [round(float(amount), DECIMALS) for amount in amounts]
    return dict(zip(names, rounded, strict=True))
