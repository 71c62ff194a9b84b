"""Amounts of controls as people write them: on a command line, and in preset files.

A preset is JSON, `{"version": 1, "controls": {"smile": 0.6, "eyes": 0.2}}`, read strictly.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pipeline.controls.table import CONTROLS
from stylegan2.strict_json import read_strict_json

VERSION = 1

DECIMALS = 4
"""To which sums and products of amounts are rounded."""


class ControlsInvalid(Exception):
    """Controls that cannot be applied as they are asked for. The message says what can."""


def checked(amounts: Mapping[str, object], where: str = "") -> dict[str, float]:
    """Check names and amounts; where begins the messages. Raises ControlsInvalid."""
    return {name: _amount(name, value, where) for name, value in amounts.items()}


def parse_amounts(texts: Iterable[str]) -> dict[str, float]:
    """Read `smile=+0.6` and the like. Raises ControlsInvalid."""
    amounts: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if not equals:
            raise ControlsInvalid(f"{text!r} is not NAME=AMOUNT, such as smile=+0.6")
        try:
            value = float(number)
        except ValueError:
            raise ControlsInvalid(f"{name}: {number!r} is no number from -1 to 1") from None
        if name in amounts:
            raise ControlsInvalid(f"{name} is given twice")
        amounts.update(checked({name: value}))
    return amounts


def read_preset(path: str | Path) -> dict[str, float]:
    """Read a preset's amounts by control. Raises ControlsInvalid."""
    path = Path(path)
    try:
        data = read_strict_json(path)
    except OSError as error:
        raise ControlsInvalid(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ControlsInvalid(f"{path}: {error}") from error
    if not isinstance(data, dict) or data.keys() != {"version", "controls"}:
        raise ControlsInvalid(f'{path}: {{"version": {VERSION}, "controls": {{...}}}} is expected')
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise ControlsInvalid(f"{path}: version must be {VERSION}, got {data['version']!r}")
    if not isinstance(data["controls"], dict) or not data["controls"]:
        raise ControlsInvalid(f"{path}: controls must be an object that names one at least")
    return checked(data["controls"], f"{path}: ")


def preset_text(amounts: Mapping[str, float]) -> str:
    """Write amounts as a preset. Raises ControlsInvalid for what cannot be read again."""
    if not amounts:
        raise ControlsInvalid("there is nothing to save: no control is given")
    return json.dumps({"version": VERSION, "controls": checked(amounts)}, indent=1) + "\n"


def write_preset(path: str | Path, amounts: Mapping[str, float]) -> None:
    """Write amounts as a preset file. Raises ControlsInvalid."""
    Path(path).write_text(preset_text(amounts), encoding="utf-8")


def scaled(amounts: Mapping[str, float], factor: float) -> dict[str, float]:
    """Take so many times a preset. Raises ControlsInvalid where that goes beyond -1 to 1."""
    taken = {name: round(factor * amount, DECIMALS) for name, amount in amounts.items()}
    return checked(taken, f"{factor:g} times the preset: ")


def added(*presets: Mapping[str, float]) -> dict[str, float]:
    """Add presets up, control by control. Raises ControlsInvalid beyond -1 to 1."""
    total: dict[str, float] = {}
    for preset in presets:
        for name, amount in preset.items():
            total[name] = round(total.get(name, 0.0) + amount, DECIMALS)
    return checked(total, "" if len(presets) == 1 else "all added up: ")


def split_factor(text: str) -> tuple[str, float]:
    """Split `FILE:0.5` into the file and its factor, 1 where none is given.

    Raises ControlsInvalid where what follows a file's name is no number.
    """
    path, colon, number = text.rpartition(":")
    try:
        factor = float(number)
    except ValueError:
        factor = math.nan
    if colon and math.isfinite(factor):
        return path, factor
    if colon and Path(path).is_file() and not Path(text).exists():
        raise ControlsInvalid(f"{number!r} is no factor: write {path}:0.5 for half of it")
    return text, 1.0


def _amount(name: str, value: object, where: str) -> float:
    if name not in CONTROLS:
        near = get_close_matches(name, CONTROLS, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(CONTROLS)}"
        raise ControlsInvalid(f"{where}there is no control {name!r}: {hint}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
        raise ControlsInvalid(f"{where}{name} must be a number from -1 to 1, got {value!r}")
    return float(value)
