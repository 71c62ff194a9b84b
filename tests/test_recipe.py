"""Settings read off config dataclasses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import pytest

from drag.config import DragConfig
from inversion.config import ProjectionConfig
from pipeline.settings.recipe import PARTS, Recipe
from pipeline.settings.schema import (
    RecipeInvalid,
    config_from_json,
    config_to_json,
    json_schema,
    settings,
)


def about(help: str, **more: Any) -> dict[str, Any]:
    return {"help": help, "source": "made up", **more}


@dataclass(frozen=True)
class Example:
    steps: int = field(default=5, metadata=about("Steps.", min=1, max=10))
    rate: float = field(default=0.5, metadata=about("Rate.", unit="px", min=0.0))
    mode: Literal["a", "b"] = field(default="a", metadata=about("Mode."))
    word: str = field(default="x", metadata=about("Word.", choices=("x", "y")))
    on: bool = field(default=False, metadata=about("On."))
    maybe: int | None = field(default=None, metadata=about("Maybe."))


def test_every_setting_has_a_help_line_a_source_and_a_default_within_its_limits() -> None:
    for part in PARTS.values():
        for setting in settings(part):
            assert setting.help.strip(), f"{part.__name__}.{setting.name}"
            assert setting.source.strip(), f"{part.__name__}.{setting.name}"
            assert setting.check(setting.default) == setting.default


def test_what_is_left_to_realdrag_is_left_out_and_no_number_means_it() -> None:
    for part in PARTS.values():
        for setting in settings(part):
            if setting.optional:
                assert setting.default is None, f"{part.__name__}.{setting.name}"
                assert "eft out" in setting.help, f"{part.__name__}.{setting.name}"
            if "steps" in setting.name or setting.name == "patience":
                # Projection may take no step: a start in W+ is a result.
                least = 0 if part is ProjectionConfig else 1
                assert setting.minimum == least, f"{part.__name__}.{setting.name}"


def test_settings_survive_a_round_trip_through_json_unchanged() -> None:
    recipe = Recipe(seed=7, drag=DragConfig(r1=4.0), perceptual="offline")
    plain = json.loads(json.dumps(recipe.to_json()))
    assert Recipe.from_json(plain) == recipe


def test_what_is_left_out_takes_its_default() -> None:
    assert config_from_json(Example, {"steps": 7}) == Example(steps=7)
    assert Recipe.from_json({}) == Recipe()


def test_an_integer_for_a_float_becomes_a_float_so_that_fingerprints_agree() -> None:
    value = config_to_json(config_from_json(Example, {"rate": 1}))["rate"]
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"stepz": 1}, "unknown setting 'stepz'; known are maybe, mode, on, rate, steps, word"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 11}, "steps must be at most 10, got 11"),
        ({"steps": 1.5}, "steps must be a int, got 1.5"),
        ({"steps": True}, "steps must be a int, got True"),
        ({"steps": None}, "steps must be a int, got None"),
        ({"rate": math.nan}, "rate must be finite"),
        ({"rate": math.inf}, "rate must be finite"),
        ({"rate": "1"}, "rate must be a float, got '1'"),
        ({"mode": "c"}, "mode must be one of a, b, got c"),
        ({"word": "z"}, "word must be one of x, y, got z"),
        ({"on": 1}, "on must be a bool, got 1"),
        ({"maybe": "1"}, "maybe must be a int, got '1'"),
    ],
)
def test_a_bad_setting_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        config_from_json(Example, data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"drags": {}}, "unknown part 'drags'"),
        ({"drag": {"r3": 1}}, "drag: unknown setting 'r3'"),
        ({"drag": {"r1": -1}}, "drag: r1 must be at least"),
        ({"drag": {"learning_rate": 1e-3}}, "learning_rate does not count for the method newton"),
        ({"drag": [1]}, "drag must be an object"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": True}, "seed must be a whole number from 0"),
        ({"perceptual": "best"}, "perceptual must be one of"),
        ({"network": ""}, "network must be a name or a path"),
    ],
)
def test_a_bad_recipe_is_refused_by_the_part_and_the_name(
    data: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeInvalid) as caught:
        Recipe.from_json(data)
    assert message in str(caught.value)


def test_a_config_made_in_code_is_checked_before_it_is_recorded() -> None:
    with pytest.raises(RecipeInvalid, match="steps must be at most 10"):
        config_to_json(Example(steps=99))


def test_the_json_schema_says_what_the_metadata_says() -> None:
    schema = json_schema(Example)
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == [each.name for each in fields(Example)]
    assert properties["steps"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "description": "Steps.",
        "default": 5,
    }
    assert properties["rate"]["description"] == "Rate, in px."
    assert properties["mode"]["enum"] == ["a", "b"]
    assert properties["maybe"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]


def test_a_field_without_help_or_of_an_odd_type_is_a_mistake_of_the_programmer() -> None:
    @dataclass(frozen=True)
    class Silent:
        steps: int = 1

    @dataclass(frozen=True)
    class Odd:
        steps: list[int] = field(default_factory=list, metadata=about("Steps."))

    @dataclass(frozen=True)
    class Unfounded:
        steps: int = field(default=1, metadata={"help": "Steps."})

    with pytest.raises(ValueError, match="no help"):
        settings(Silent)
    with pytest.raises(ValueError, match="no source"):
        settings(Unfounded)
    with pytest.raises(ValueError, match="cannot be set"):
        settings(Odd)


def test_the_help_of_a_drag_names_the_numbers_of_its_methods() -> None:
    described = {setting.name: setting.describe() for setting in settings(DragConfig)}
    assert "8 for newton and 50 for draggan" in described["patience"]
    assert "16 for newton and 3 for draggan, in pixels" in described["r1"]
    assert "0.002 for draggan: the paper's for faces" in described["learning_rate"]
