"""The commands about directions of a network: fit, text, show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from pipeline.commands.console import Console
from pipeline.commands.options import (
    GroupedCommand,
    machine_options,
    network_option,
    seed_option,
)
from pipeline.disk.storage import writing
from pipeline.jobs.fit_directions import Fitting, Method
from pipeline.jobs.text_directions import Words
from stylegan2.network_names import with_class

if TYPE_CHECKING:
    from stylegan2.directions import Direction


@click.group(epilog="\b\nExample:\n  realdrag directions fit embedded --method measures")
def directions() -> None:
    """Ways in which a network's pictures change: found, and looked at."""


@directions.command(
    cls=GroupedCommand,
    short_help="Find directions of a network.",
    example="realdrag directions fit embedded\n"
    "realdrag directions fit ffhq-1024 --method factors --layers 0-6\n"
    "realdrag directions fit embedded --method measures -o faces.safetensors\n"
    "realdrag apply --directions faces.safetensors smile=+0.5",
)
@click.argument("network")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default="pca",
    show_default=True,
    help="The components along which w varies most (pca, as GANSpace), the factors of the weights "
    "(factors, as SeFa), or what changes one measure of a face and holds the others (measures, "
    "as InterfaceGAN).",
)
@click.option(
    "--count",
    type=click.IntRange(1, 512),
    default=Fitting.count,
    show_default=True,
    help="How many, at most, of pca and factors.",
)
@click.option(
    "--layers",
    metavar="FIRST-LAST",
    help="Which latents they move, counted from 0; left out, all of them.",
)
@click.option(
    "--samples",
    type=click.IntRange(100, 100_000),
    default=Fitting.samples,
    show_default=True,
    help="How many faces are drawn and measured, for measures.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; left out, NETWORK-METHOD.safetensors in this folder.",
)
@seed_option
@machine_options
def fit(
    network: str,
    method: Method,
    count: int,
    layers: str | None,
    samples: int,
    output: Path | None,
    seed: int,
    as_json: bool,
    device: str,
) -> None:
    """Find directions of NETWORK, a name or a file, and write them as safetensors.

    apply and edit take them with --directions. +1 goes two standard deviations of w; with measures
    as far as the control of that name does.
    """
    from pipeline.jobs.fit_directions import fit_directions
    from stylegan2.formats.direction_files import write_directions

    asked = Fitting(method, count, _layers(layers), samples, seed)
    target = output or Path(f"{Path(network).stem}-{method}.safetensors")
    console = Console(as_json, device)
    identity, found = console.run(fit_directions(network, asked, console.bench))
    with writing(target.absolute().parent):
        write_directions(target, found, identity.weights)
    _done(console, {"file": str(target)}, {each.name: each for each in found}, str(target))


@directions.command(
    cls=GroupedCommand,
    short_help="Find the direction for words (StyleCLIP).",
    example='realdrag directions text embedded "a face" "a smiling face" --name grin\n'
    "realdrag apply --directions grin.safetensors grin=+1 --paste network",
)
@click.argument("network")
@click.argument("neutral")
@click.argument("target")
@click.option("--name", help="What it is called; left out, the words of TARGET.")
@click.option(
    "--beta",
    type=click.FloatRange(0, 1),
    default=Words.beta,
    show_default=True,
    help="Only styles that answer to the words by this cosine move: more of it changes less else.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 30, min_open=True),
    default=Words.alpha,
    show_default=True,
    help="How far +1 goes: standard deviations of the style that answers most.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 1000),
    default=Words.samples,
    show_default=True,
    help="In how many pictures every style is tried. Slow without a GPU, and kept for other words.",
)
@click.option("--clip", default=Words.model, show_default=True, help="A model of open_clip.")
@click.option("--clip-weights", default=Words.weights, show_default=True, help="Its weights.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; left out, NAME.safetensors in this folder.",
)
@seed_option
@machine_options
def text(
    network: str,
    neutral: str,
    target: str,
    name: str | None,
    beta: float,
    alpha: float,
    samples: int,
    clip: str,
    clip_weights: str,
    output: Path | None,
    seed: int,
    as_json: bool,
    device: str,
) -> None:
    """Find how NETWORK's styles turn what NEUTRAL says into what TARGET says.

    StyleCLIP's global directions (Patashnik et al., 2021). Needs open_clip, the extra `text`, which
    downloads the model's weights.
    """
    from pipeline.jobs.text_directions import text_direction
    from stylegan2.formats.direction_files import write_directions

    asked = Words(neutral, target, name, beta, alpha, samples, seed, clip, clip_weights)
    path = output or Path(f"{asked.called}.safetensors")
    console = Console(as_json, device)
    identity, found = console.run(text_direction(network, asked, console.bench))
    with writing(path.absolute().parent):
        write_directions(path, [found], identity.weights)
    _done(console, {"file": str(path)}, {found.name: found}, str(path))


@directions.command(
    cls=GroupedCommand,
    short_help="Draw a strip for each direction.",
    example="realdrag directions show embedded-pca.safetensors\n"
    "realdrag directions show age.pt smile.pt --network ffhq-1024",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@network_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The picture to write, a PNG; left out, beside the first file, with its name.",
)
@seed_option
@machine_options
def show(
    files: Sequence[Path],
    network: str,
    network_class: int | None,
    output: Path | None,
    seed: int,
    as_json: bool,
    device: str,
) -> None:
    """Draw what the directions in FILES do to a face of the network, from -1 to +1.

    Takes ours, and those of others: InterfaceGAN's .npy, style directions in .pt (age.pt),
    GANSpace's components (ffhq_pca.pt).
    """
    from pipeline.jobs.fit_directions import show_directions, write_strips

    target = output or files[0].with_suffix(".png")
    if target.suffix.lower() != ".png":
        raise click.BadParameter(f"{target} should end in .png", param_hint="--output")
    console = Console(as_json, device)
    found, sheet = console.run(
        show_directions(files, with_class(network, network_class), seed, console.bench)
    )
    write_strips(sheet, target)
    _done(console, {"picture": str(target)}, found, str(target))


def _layers(text: str | None) -> tuple[int, int] | None:
    """Read `0-5` as from 0 to before 6."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise click.BadParameter(f"{text!r} is not FIRST-LAST, such as 0-5", param_hint="--layers")
    return int(found[1]), int(found[2]) + 1


def _done(
    console: Console, plain: dict[str, Any], found: Mapping[str, Direction], last: str
) -> None:
    rows, lines = [], []
    width = max(len(name) for name in found)
    for name, each in found.items():
        first, end = each.layers
        row = {"name": name, "layers": [first, end - 1], "low": each.low, "high": each.high}
        rows.append({**row, "space": each.space, "about": each.about})
        where = "styles" if each.space == "styles" else f"layers {first}-{end - 1}"
        lines.append(f"{name:<{width}}  {each.low:+.2f} to {each.high:+.2f}  {where}  {each.about}")
    console.done({**plain, "directions": rows}, *lines, last)
