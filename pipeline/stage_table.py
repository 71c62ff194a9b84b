"""The stages by name: everything about each but its code, which is in `pipeline/stages/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_INVERT_FIRST = "run `realdrag invert PHOTO` first"
_DRAG_FIRST = "run `realdrag drag --points FILE` first"


@dataclass(frozen=True)
class Stage:
    """One stage. version goes up whenever equal requests would give another result than before.

    heading names it to people; advice says how to come by a result of it; needs names the stages
    whose current artifacts it stands on, takes those on which it may; shows are the pictures that
    are copied to the top of the workspace.
    """

    name: str
    version: int
    heading: str
    advice: str
    needs: tuple[str, ...]
    shows: tuple[str, ...]
    takes: tuple[str, ...] = ()

    def stands(self, inputs: Mapping[str, str], current: Mapping[str, str]) -> bool:
        """Say whether a result with these inputs stands on what is current: fingerprints."""
        made = set(inputs.values())
        whole = all(current.get(need) in made for need in self.needs)
        return whole and all(
            inputs[name] == current.get(name) for name in self.takes if name in inputs
        )


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        stage.name: stage
        for stage in (
            Stage("align", 2, "Face", _INVERT_FIRST, (), ("aligned.png",)),
            Stage("invert", 2, "Projection", _INVERT_FIRST, ("align",), ("inverted.png",)),
            Stage(
                "tune", 3, "Tuning", "run `realdrag tune` first", ("align", "invert"),
                ("tuned.png",),
            ),
            Stage(
                "drag", 6, "Dragging", _DRAG_FIRST, ("align",), ("drag.gif",), ("invert", "tune")
            ),
            Stage(
                "result", 4, "Result", _DRAG_FIRST, ("align", "drag"),
                ("result.png", "result.jpg", "result.webp", "compare.png"), ("tune",),
            ),
        )
    }
)  # fmt: skip
"""Every stage, in the order they run."""
