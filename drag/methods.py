"""The methods of dragging: everything about each but its code, which is loaded when it drags.

To add one: write a file beside `newton.py`, and its row below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from drag.config import DragConfig
    from drag.scene import Scene, View
    from drag.tracking import Moved


class Mover(Protocol):
    """What a method is to a session: it moves ws, a step at a time.

    unlike [P] is how unlike its start a handle is that is lost; view is what was rendered last.
    """

    unlike: Tensor
    view: View

    def step(self) -> Moved:
        """Take one step."""
        ...


@dataclass(frozen=True)
class Method:
    """One method. begin makes its mover; the rest holds where a DragConfig has None.

    patience counts steps without progress; r1 is in pixels of a 512 picture; learning_rate is
    None for a method that has none. live_moments are the pictures that each of its steps offers
    to whoever watches: more where steps are long.
    """

    name: str
    begin: Callable[[Scene, DragConfig], Mover]
    patience: int
    r1: float
    learning_rate: float | None
    live_moments: int


def _newton(scene: Scene, config: DragConfig) -> Mover:
    from drag.newton import GaussNewton

    return GaussNewton(scene, config)


def _draggan(scene: Scene, config: DragConfig) -> Mover:
    from drag.draggan import DragGan

    return DragGan(scene, config)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("newton", _newton, patience=8, r1=16.0, learning_rate=None, live_moments=3),
            Method("draggan", _draggan, patience=50, r1=3.0, learning_rate=2e-3, live_moments=1),
        )
    }
)
"""Every method, the default first. newton's numbers are ours, measured in benchmarks/RESULTS.md
and IDEAS.md; draggan's r1 and learning_rate are the paper's (arXiv 2305.10973, section 3.4), its
patience is ours."""
