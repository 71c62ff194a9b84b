"""The stages by name: everything about each but its code, which is in `pipeline/stages/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Stage:
    """One stage. version goes up whenever equal requests would give another result than before.

    heading names it to people; command is what they run for a result of it; needs names the
    stages whose current artifacts it stands on, takes those on which it may; shows are the
    pictures that are copied to the top of the workspace.
    """

    name: str
    version: int
    heading: str
    command: str
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
            Stage(
                name="align",
                version=2,
                heading="Face",
                command="realdrag invert PHOTO",
                needs=(),
                shows=("aligned.png",),
            ),
            Stage(
                name="invert",
                version=4,
                heading="Projection",
                command="realdrag invert PHOTO",
                needs=("align",),
                shows=("inverted.png",),
            ),
            Stage(
                name="tune",
                version=5,
                heading="Tuning",
                command="realdrag tune",
                needs=("align", "invert"),
                shows=("tuned.png",),
            ),
            Stage(
                name="drag",
                version=22,
                heading="Dragging",
                command="realdrag drag --points FILE",
                needs=("align",),
                takes=("invert", "tune"),
                shows=("drag.gif",),
            ),
            Stage(
                name="result",
                version=7,
                heading="Result",
                command="realdrag drag --points FILE",
                needs=("align", "drag"),
                takes=("tune",),
                shows=("result.png", "result.jpg", "result.webp", "compare.png"),
            ),
        )
    }
)
"""Every stage, in the order they run. To add one: its row here, its code in `stages/NAME.py`;
behind the drag it then runs by itself."""


def stages_after(name: str) -> list[Stage]:
    """Return the stages that run after one."""
    names = list(STAGES)
    return [STAGES[each] for each in names[names.index(name) + 1 :]]
