"""Settings read off config dataclasses: checked, listed, and described in JSON Schema.

A config is a frozen dataclass whose fields carry metadata: help, unit, source, min, max, choices.
The command line, JSON and the manifests are derived from it, so nothing is stated twice.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Kind = Literal["int", "float", "bool", "str"]


_ACCEPTED: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
}


class RecipeInvalid(Exception):
    """A setting is unknown, of the wrong type, or out of range."""


@dataclass(frozen=True)
class Setting:
    """One field of a config: its type, default, and what its metadata says."""

    name: str
    kind: Kind
    optional: bool
    default: Any
    help: str
    unit: str | None
    source: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...] | None

    def check(self, value: Any) -> Any:
        """Return the value in the field's type. Raises RecipeInvalid."""
        if value is None and self.optional:
            return None
        accepted = isinstance(value, _ACCEPTED[self.kind])
        if not accepted or (isinstance(value, bool) and self.kind != "bool"):
            raise RecipeInvalid(f"{self.name} must be a {self.kind}, got {value!r}")
        if self.kind == "float":
            value = float(value)
            if not math.isfinite(value):
                raise RecipeInvalid(f"{self.name} must be finite, got {value}")
        if self.choices is not None and value not in self.choices:
            raise RecipeInvalid(
                f"{self.name} must be one of {', '.join(self.choices)}, got {value}"
            )
        if self.minimum is not None and value < self.minimum:
            raise RecipeInvalid(f"{self.name} must be at least {self.minimum:g}, got {value:g}")
        if self.maximum is not None and value > self.maximum:
            raise RecipeInvalid(f"{self.name} must be at most {self.maximum:g}, got {value:g}")
        return value

    def json_schema(self) -> dict[str, Any]:
        """Describe the setting in JSON Schema."""
        plain = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}[self.kind]
        schema: dict[str, Any] = {"type": plain}
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        if self.optional:
            schema = {"anyOf": [schema, {"type": "null"}]}
        schema["description"] = self.describe()
        return {**schema, "default": self.default}

    def describe(self) -> str:
        """Return the help text with the unit."""
        return self.help if self.unit is None else f"{self.help.rstrip('.')}, in {self.unit}."


def settings(config: type[Any]) -> tuple[Setting, ...]:
    """List the settings of a config dataclass. Raises ValueError for a field nobody can set."""
    hints = typing.get_type_hints(config)
    listed = []
    for each in dataclasses.fields(config):
        kind, optional, literals = _read_type(hints[each.name], each.name)
        about = each.metadata
        for fact in ("help", "source"):
            if fact not in about:
                raise ValueError(f"{config.__name__}.{each.name} has no {fact}")
        choices = tuple(about["choices"]) if "choices" in about else literals
        listed.append(
            Setting(
                name=each.name, kind=kind, optional=optional, default=each.default,
                help=about["help"], unit=about.get("unit"), source=about["source"],
                minimum=about.get("min"), maximum=about.get("max"), choices=choices,
            )
        )  # fmt: skip
    return tuple(listed)


def config_from_json(config: type[T], data: Mapping[str, Any]) -> T:
    """Build a config from JSON; what is left out takes its default. Raises RecipeInvalid."""
    known = {setting.name: setting for setting in settings(config)}
    for name in data:
        if name not in known:
            raise RecipeInvalid(f"unknown setting {name!r}; known are {', '.join(sorted(known))}")
    checked = {name: known[name].check(value) for name, value in data.items()}
    try:
        return config(**checked)
    except ValueError as error:  # settings that do not go together
        raise RecipeInvalid(str(error)) from None


def config_to_json(config: Any) -> dict[str, Any]:
    """Return every setting of a config, checked, as plain JSON values. Raises RecipeInvalid."""
    return {
        setting.name: setting.check(getattr(config, setting.name))
        for setting in settings(type(config))
    }


def json_schema(config: type[Any]) -> dict[str, Any]:
    """Describe a config in JSON Schema; unknown keys are not allowed."""
    return {
        "type": "object",
        "properties": {setting.name: setting.json_schema() for setting in settings(config)},
        "additionalProperties": False,
    }


def _read_type(hint: Any, name: str) -> tuple[Kind, bool, tuple[str, ...] | None]:
    """Return kind, whether None is allowed, and the literals of a type annotation."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        optional = len(arms) < len(typing.get_args(hint))
        if len(arms) != 1:
            raise ValueError(f"{name} has a type that cannot be set: {hint}")
        hint = arms[0]
    if typing.get_origin(hint) is Literal:
        return "str", optional, tuple(str(value) for value in typing.get_args(hint))
    kinds: dict[Any, Kind] = {int: "int", float: "float", bool: "bool", str: "str"}
    if hint not in kinds:
        raise ValueError(f"{name} has a type that cannot be set: {hint}")
    return kinds[hint], optional, None
