"""realdrag as a library: open a photo, prepare it, drag points of the face.

The stages keep their results on disk, in the photo's workspace, exactly as the commands do: what
one has made, the other finds. Below that stand the parts themselves, with tensors: `load_network`,
`align_face`, `project_face`, `tune_to`, `DragSession`.

Importing this loads neither torch nor numpy; using it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drag.config import DragConfig
    from drag.points import DragPoint
    from drag.session import DragSession
    from pipeline.controls.presets import read_preset, write_preset
    from pipeline.settings.recipe import Recipe
    from realdrag.directions import fit_directions, text_direction
    from realdrag.edit import Edit
    from realdrag.parts import align_face, load_network, project_face, render, tune_to
    from realdrag.photo import Photo, open

_WHERE = {
    "open": "realdrag.photo",
    "Photo": "realdrag.photo",
    "Edit": "realdrag.edit",
    "load_network": "realdrag.parts",
    "align_face": "realdrag.parts",
    "project_face": "realdrag.parts",
    "tune_to": "realdrag.parts",
    "render": "realdrag.parts",
    "DragConfig": "drag.config",
    "DragPoint": "drag.points",
    "DragSession": "drag.session",
    "Recipe": "pipeline.settings.recipe",
    "fit_directions": "realdrag.directions",
    "text_direction": "realdrag.directions",
    "read_preset": "pipeline.controls.presets",
    "write_preset": "pipeline.controls.presets",
}

__all__ = [
    "DragConfig",
    "DragPoint",
    "DragSession",
    "Edit",
    "Photo",
    "Recipe",
    "align_face",
    "fit_directions",
    "load_network",
    "open",
    "project_face",
    "read_preset",
    "render",
    "text_direction",
    "tune_to",
    "write_preset",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'realdrag' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
