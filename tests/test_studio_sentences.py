"""What the page says: one table a language, all with the same sentences, and none missing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from drag.stopping import StopReason
from pipeline.stage_table import STAGES
from pipeline.studio.desk import settings_schema
from pipeline.studio.sketch import What
from pipeline.studio.tickets import Kind

STATIC = Path(__file__).parents[1] / "pipeline" / "studio" / "static"
LANGUAGES = sorted(path.stem for path in (STATIC / "sentences").glob("*.js"))

ENTRY = re.compile(r'^  ("(?:[^"\\]|\\.)*"): (.*),$')
STOPS = {f"stop.{reason.value}" for reason in StopReason}
"""English has them in the core: the commands say the same."""


def table(language: str) -> dict[str, str]:
    """Read a table: every line is a comment, empty, or an entry."""
    found: dict[str, str] = {}
    text = (STATIC / "sentences" / f"{language}.js").read_text(encoding="utf-8")
    lines = text.split("export default {\n")[1].rsplit("};", 1)[0].splitlines()
    for line in lines:
        if not line.strip() or line.strip().startswith("//"):
            continue
        match = ENTRY.match(line)
        assert match, line
        key = json.loads(match.group(1))
        assert key not in found, f"{key} is there twice"
        found[key] = match.group(2)
    return found


def test_the_languages_that_are_offered_have_tables() -> None:
    offered = re.search(r"LANGUAGES = \{(.*?)\}", (STATIC / "say.js").read_text(encoding="utf-8"))
    assert offered is not None
    assert sorted(re.findall(r"(\w\w):", offered.group(1))) == LANGUAGES
    assert {"de", "en", "ko", "zh"} <= set(LANGUAGES)


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_language_has_every_sentence(language: str) -> None:
    english, other = table("en"), table(language)
    assert english.keys() | STOPS == other.keys()
    for key, entry in english.items():
        names = set(re.findall(r"\{(\w+)\}", entry))
        assert set(re.findall(r"\{(\w+)\}", other[key])) <= names | {"count"}, key
        missing = names - set(re.findall(r"\{(\w+)\}", other[key])) - {"count"}
        assert not missing, f"{language}: {key} leaves out {missing}"


def test_every_sentence_that_the_page_says_is_there_and_every_one_there_is_said() -> None:
    english = table("en").keys() | STOPS
    program = "\n".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.js"))
    said = set(re.findall(r'say\("([^"]+)"', program))
    said |= set(re.findall(r'\["[^"]*", "([\w.]+)"\]', program)) & english  # the card of keys
    assert not said - english, "missing"
    built = [
        re.split(r"\$\{[^}]*\}", key) for key in re.findall(r"(?:say|plain)\(`([^`]+)`", program)
    ]
    patterns = [re.compile(".+".join(re.escape(part) for part in parts)) for parts in built]
    chosen = set(re.findall(r'"((?:choice|status|error|mark)\.\w+)"', program))
    branches = set(re.findall(r'\? "([\w.]+)" : "([\w.]+)"', program))
    chosen |= {word for pair in branches for word in pair}
    for key in english - said - chosen:
        assert any(pattern.fullmatch(key) for pattern in patterns), f"{key} is never said"


def test_every_setting_has_a_name_and_says_what_it_does_to_the_picture() -> None:
    english = table("en").keys()
    for part, schema in settings_schema()["properties"].items():
        own = [f"{part}.{name}" for name in schema.get("properties", {})] or [part]
        for setting in own:
            assert {f"setting.{setting}", f"effect.{setting}"} <= english, setting


def test_what_the_studio_names_has_sentences() -> None:
    english = table("en").keys()
    for what in What.__args__:  # type: ignore[attr-defined]
        assert {f"edit.{what}", f"edit.{what}.one"} <= english
    for kind in Kind:
        assert {f"card.{kind.value}", f"status.waits.{kind.value}"} <= english
    for stage in STAGES:
        assert f"stage.{stage}" in english
