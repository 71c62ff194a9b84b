"""Rules of the house that no single test of a module can hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline.commands.root import root
from pipeline.failures import FAILURES
from pipeline.stage_table import STAGES

HERE = Path(__file__).parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "stylegan2": set(),
    "inversion": {"stylegan2"},
    "drag": {"stylegan2"},
    "pti": {"stylegan2", "inversion"},
    "pipeline": {"stylegan2", "inversion", "drag", "pti"},
    "realdrag": {"stylegan2", "inversion", "drag", "pti", "pipeline"},
}

ROOMS: dict[str, set[str]] = {
    "failures": set(),
    "stage_table": set(),
    "progress": {"stage_table"},
    "settings": set(),
    "controls": set(),
    "picture": set(),
    "disk": {"progress", "stage_table"},
    "machine": {"progress", "disk"},
    "stages": {"progress", "settings", "picture", "disk", "machine"},
    "jobs": {
        "progress", "stage_table", "settings", "controls", "picture", "disk", "machine", "stages",
    },
    "batch": {"failures", "progress", "settings", "controls", "disk", "machine", "jobs"},
    "commands": {
        "failures", "progress", "stage_table", "settings", "controls", "disk", "machine", "jobs",
        "batch",
    },
    "studio": {
        "failures", "progress", "stage_table", "settings", "controls", "picture", "disk",
        "machine", "stages", "jobs",
    },
    "__main__": {"commands"},
}  # fmt: skip
"""The rooms of pipeline/, bottom-up, and which of the others each may import."""

DOORS = {"pipeline.commands.studio": "pipeline.studio.web.serve"}
"""The command that starts the studio."""

WITHOUT_TORCH = (
    "pipeline.commands.root",
    "pipeline.jobs.edit",
    "pipeline.jobs.prepare",
    "pipeline.settings.recipe",
    "pipeline.controls.presets",
    "pipeline.jobs.controls",
    "pipeline.disk.workspace",
    "pipeline.machine.doctor",
    "pipeline.jobs.export",
    "stylegan2.zoo",
    "stylegan2.downloads.known_file",
    "inversion.config",
    "pti.config",
    "drag.config",
)


def sources(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the dotted name and the syntax tree of every module of some packages."""
    for package in packages:
        for path in sorted((HERE / package).rglob("*.py")):
            parts = path.relative_to(HERE).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down_only(package: str) -> None:
    everything = MAY_IMPORT.keys() | {"tests", "tools", "benchmarks"}
    forbidden = everything - MAY_IMPORT[package] - {package}
    for name, tree in sources(package):
        for imported in imports(tree):
            assert imported.split(".")[0] not in forbidden, f"{name} imports {imported}"


def test_benchmarks_need_no_tools() -> None:
    for name, tree in sources("benchmarks"):
        for imported in imports(tree):
            assert imported.split(".")[0] not in ("tools", "tests"), f"{name} imports {imported}"


def test_pivotal_tuning_takes_only_the_projection_and_the_distance_from_inversion() -> None:
    allowed = {"inversion.perceptual", "inversion.projection"}
    for name, tree in sources("pti"):
        for imported in imports(tree):
            if imported.split(".")[0] == "inversion":
                assert imported in allowed, f"{name} imports {imported}"


def test_every_room_of_the_pipeline_is_in_the_table() -> None:
    rooms = {path.stem for path in (HERE / "pipeline").iterdir() if path.suffix in ("", ".py")}
    assert rooms - {"__init__", "__pycache__"} == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    below = list(ROOMS)[: list(ROOMS).index(room)]
    assert ROOMS[room] <= set(below), f"{room} may import a room above it"
    for name, tree in sources("pipeline"):
        if name.split(".")[1:2] != [room]:
            continue
        for imported in imports(tree):
            parts = imported.split(".")
            if parts[0] == "pipeline" and DOORS.get(name) != imported:
                assert parts[1] in ROOMS[room] | {room}, f"{name} imports {imported}"


def test_the_map_of_the_house_names_every_room_and_no_file_that_is_gone() -> None:
    text = (HERE / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text))
    gone = sorted(path for path in named if not (HERE / path).exists())
    assert gone == ["pipeline/stages/NAME.py"]
    rooms = {room for room in ROOMS if room != "__main__"}
    rooms = {
        f"pipeline/{room}" + (".py" if (HERE / f"pipeline/{room}.py").exists() else "/")
        for room in rooms
    }
    assert rooms | {f"{package}/" for package in MAY_IMPORT} <= named


def test_stages_know_artifacts_but_no_workspace() -> None:
    unknown = {"pipeline.disk.workspace", "pipeline.disk.state", "pipeline.disk.places"}
    for name, tree in sources("pipeline"):
        if name.startswith("pipeline.stages."):
            assert unknown.isdisjoint(imports(tree)), f"{name} knows where its work is kept"


def test_every_stage_of_the_table_has_its_file_of_code() -> None:
    code = {name.rsplit(".", 1)[1] for name, _ in sources("pipeline") if ".stages." in name}
    assert STAGES.keys() <= code


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_importing_this_loads_neither_torch_nor_numpy(module: str) -> None:
    code = (
        f"import sys, {module}; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_the_embedded_generator_is_found_without_loading_torch() -> None:
    from stylegan2.embedded import EMBEDDED, embedded_path
    from stylegan2.zoo import resolve

    code = (
        "import sys; from pipeline.machine.bench import Bench; "
        f"print(Bench('cpu').network_path({EMBEDDED!r})); print('torch' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == [str(embedded_path()), "False"]
    assert resolve(EMBEDDED) == embedded_path()


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs wait4 to see a child's own time")
def test_help_answers_in_under_half_a_second() -> None:
    seconds = []
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "--help"],
            cwd=HERE,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        seconds.append(usage.ru_utime + usage.ru_stime)
    assert min(seconds) < 0.5  # the machine may be busy with other things: its own time counts


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for key, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


COMMANDS = dict(commands(root, "realdrag"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_help_says_what_it_does_and_carries_an_example(name: str) -> None:
    command = COMMANDS[name]
    with click.Context(command, info_name=name) as context:
        text = command.get_help(context)
    assert command.help
    assert f"Example:\n  {name}" in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json(name: str) -> None:
    assert "as_json" in {parameter.name for parameter in COMMANDS[name].params}


def exception_classes() -> Iterator[str]:
    known = {"Exception"}
    for name, tree in sources(*MAY_IMPORT):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if bases & known or any(base.endswith(("Error", "Exception")) for base in bases):
                    known.add(node.name)
                    if not node.name.startswith("_"):
                        yield f"{name}.{node.name}"


def test_every_exception_class_has_its_row_in_the_failure_table() -> None:
    missing = sorted(set(exception_classes()) - FAILURES.keys())
    assert missing == []


def test_the_failure_table_has_no_rows_for_classes_that_are_gone() -> None:
    assert sorted(FAILURES.keys() - set(exception_classes())) == []


def test_algorithms_print_nothing_and_name_no_device() -> None:
    for name, tree in sources("stylegan2", "inversion", "pti", "drag"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "tqdm"), f"{name} prints"
            if isinstance(node, ast.Attribute):
                assert node.attr != "cuda", f"{name} uses .cuda"
            if isinstance(node, ast.Constant):
                assert node.value != "cuda", f"{name} names a device"


def test_no_file_is_of_a_kind_to_keep_out() -> None:
    forbidden = {"utils.py", "common.py", "helpers.py", "opts.py", "settings.py", "config.pkl"}
    for package in MAY_IMPORT:
        assert not forbidden & {path.name for path in (HERE / package).rglob("*")}


def test_nothing_is_pickled() -> None:
    for name, tree in sources(*MAY_IMPORT):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call = ast.unparse(node.func)
                assert call not in ("torch.save", "pickle.dump", "pickle.dumps", "torch.load"), name
