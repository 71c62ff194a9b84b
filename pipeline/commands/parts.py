"""The parts of a recipe on a command line: options of stages' configs, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pipeline.commands.options import Decorator, config_from_options, config_options
from pipeline.settings.recipe import PARTS, Recipe
from pipeline.stage_table import STAGES
from stylegan2.network_names import with_class


def part_options(*parts: str, prefixed: bool = False, but: Collection[str] = ()) -> Decorator:
    """Add the options of some stages' configs, but for those that the command has itself."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for part in reversed(parts):
            prefix = _prefix(part, prefixed)
            function = config_options(PARTS[part], STAGES[part].heading, prefix, but)(function)
        return function

    return decorate


def read_parts(options: Mapping[str, Any], *parts: str, prefixed: bool = False) -> dict[str, Any]:
    """Build the configs from what `part_options` added."""
    return {
        part: config_from_options(PARTS[part], options, _prefix(part, prefixed)) for part in parts
    }


def _prefix(part: str, prefixed: bool) -> str:
    """Return what an option of a part begins with: settings of some parts are called alike."""
    return part if prefixed and part in ("invert", "tune", "drag") else ""


def read_recipe(options: Mapping[str, Any], *parts: str, prefixed: bool = False) -> Recipe:
    """Build a recipe of these parts, and of the network, the distance and the seed if asked for."""
    whole = {name: options[name] for name in ("network", "perceptual", "seed") if name in options}
    if "network" in whole:
        whole["network"] = with_class(whole["network"], options.get("network_class"))
    return Recipe(**whole, **read_parts(options, *parts, prefixed=prefixed))
