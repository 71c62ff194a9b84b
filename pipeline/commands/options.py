"""Command line options: read off the config dataclasses, grouped in the help."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from inversion.config import PERCEPTUAL_CHOICES
from pipeline.machine.devices import DEVICES
from pipeline.settings.schema import Setting, config_from_json, settings
from stylegan2.embedded import EMBEDDED

T = TypeVar("T")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class GroupedOption(click.Option):
    """An option that is listed under a heading of its own."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists options under their headings, and keeps its example as it is."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one list of options for each heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = parameter.group if isinstance(parameter, GroupedOption) else "Options"
                groups.setdefault(group, []).append(record)
        for group in sorted(groups, key=lambda name: name != "Options"):
            with formatter.section(group):
                formatter.write_dl(groups[group])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def config_options(
    config: type[Any], group: str, prefix: str = "", but: Collection[str] = ()
) -> Decorator:
    """Add an option for every setting of a config; `config_from_options` reads them back.

    but are settings for which the command has an option of its own.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(settings(config)):
            if setting.name not in but:
                function = _option(setting, group, prefix)(function)
        return function

    return decorate


def config_from_options(config: type[T], options: Mapping[str, Any], prefix: str = "") -> T:
    """Build a config from what the options of `config_options` were given."""
    names = {setting.name: _parameter(setting.name, prefix) for setting in settings(config)}
    given = {
        name: options[parameter]
        for name, parameter in names.items()
        if options[parameter] is not None
    }
    return config_from_json(config, given)


def _parameter(name: str, prefix: str) -> str:
    return f"{prefix}_{name}" if prefix else name


def _option(setting: Setting, group: str, prefix: str) -> Decorator:
    parameter = _parameter(setting.name, prefix)
    flag = f"--{parameter.replace('_', '-')}"
    return click.option(
        f"{flag}/--no-{flag.removeprefix('--')}" if setting.kind == "bool" else flag,
        parameter,
        cls=GroupedOption,
        group=group,
        type=_type(setting),
        metavar={"int": "N", "float": "X"}.get(setting.kind),
        default=None,
        help=f"{setting.describe()}  {_default_and_range(setting)}".rstrip(),
    )


def _type(setting: Setting) -> Any:
    """Return click's type; ranges are left to the config, so that they read the same everywhere."""
    if setting.choices is not None:
        return click.Choice(setting.choices)
    return {"int": click.INT, "float": click.FLOAT, "bool": click.BOOL, "str": click.STRING}[
        setting.kind
    ]


def _default_and_range(setting: Setting) -> str:
    parts = []
    if isinstance(setting.default, bool):
        parts.append(f"default {'yes' if setting.default else 'no'}")
    elif isinstance(setting.default, int | float):
        parts.append(f"default {setting.default:g}")
    elif setting.default is not None:
        parts.append(f"default {setting.default}")
    if setting.minimum is not None and setting.maximum is not None:
        parts.append(f"{setting.minimum:g} to {setting.maximum:g}")
    elif setting.minimum is not None:
        parts.append(f"from {setting.minimum:g}")
    return f"[{', '.join(parts)}]" if parts else ""


def machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --device and --json."""
    function = json_option(function)
    return click.option(
        "--device",
        type=click.Choice(DEVICES),
        default="auto",
        show_default=True,
        help="Where to compute.",
    )(function)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line on stdout, for machines."
)

workspace_option = click.option(
    "-w",
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    help="The workspace; if left out, the one used last in this folder.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    default=0,
    show_default=True,
    help="Equal seeds give equal results.",
)


class_option = click.option(
    "--class",
    "network_class",
    type=click.IntRange(0),
    metavar="N",
    help="Which class, where the network has several (realdrag models info FILE counts them).",
)


def network_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --network and --class."""
    return click.option(
        "--network",
        default=EMBEDDED,
        show_default=True,
        help="Name of a known network (see realdrag models list), or a file.",
    )(class_option(function))


perceptual_option = click.option(
    "--perceptual",
    type=click.Choice(PERCEPTUAL_CHOICES),
    default="auto",
    show_default=True,
    help="What measures how alike two faces look.",
)

landmarks_option = click.option(
    "--landmarks",
    cls=GroupedOption,
    group="Face",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with eyes and mouth, or 68 points, in pixels of the photo.",
)
