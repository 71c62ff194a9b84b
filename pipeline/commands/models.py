"""The commands about networks: list, info, download, convert, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.console import Console
from pipeline.commands.options import (
    GroupedCommand,
    class_option,
    json_option,
    machine_options,
    workspace_option,
)
from pipeline.disk.storage import writing
from stylegan2.network_names import split_class, with_class

if TYPE_CHECKING:
    from stylegan2.formats.export import ExportLayout

layout_option = click.option(
    "--layout",
    type=click.Choice(("realdrag", "nvidia")),
    default="realdrag",
    show_default=True,
    help="nvidia adds the constant filters that NVIDIA's own code expects in the file.",
)


@click.group(epilog="\b\nExample:\n  realdrag models download ffhq-1024")
def models() -> None:
    """Networks: what is known, what is here, and how they get in and out."""


@models.command(
    "list", cls=GroupedCommand, short_help="List known networks.", example="realdrag models list"
)
@json_option
def list_networks(as_json: bool) -> None:
    """List the networks that are known by name, and which of them are here."""
    from stylegan2.embedded import EMBEDDED_NETWORKS
    from stylegan2.known_networks import KNOWN_NETWORKS
    from stylegan2.zoo import is_present

    rows: list[dict[str, Any]] = [
        {
            "name": network.name,
            "title": network.title,
            "here": network.path.exists(),
            "size_mb": None,
            "licence": "see LICENSE",
        }
        for network in EMBEDDED_NETWORKS
    ]
    for name, listed in KNOWN_NETWORKS.items():
        rows.append(
            {
                "name": name,
                "title": listed.title,
                "here": is_present(name),
                "size_mb": listed.size_mb,
                "licence": listed.licence,
            }
        )
    width = max(len(row["name"]) for row in rows)
    lines = [
        f"{row['name']:<{width}}  {'here' if row['here'] else '-':<4}  "
        f"{row['title']} ({row['licence']})"
        for row in rows
    ]
    Console(as_json).done({"networks": rows}, *lines)


@models.command(
    cls=GroupedCommand,
    short_help="Describe a network.",
    example="realdrag models info ffhq-1024\nrealdrag models info my-network.pkl",
)
@click.argument("network")
@class_option
@machine_options
def info(network: str, network_class: int | None, as_json: bool, device: str) -> None:
    """Describe NETWORK, a name or a file: sizes, weights, licence, and classes if it has any."""
    from stylegan2.formats.classes import ClassNeeded
    from stylegan2.known_networks import KNOWN_NETWORKS

    console = Console(as_json, device)
    classes: dict[str, Any] = {}
    name, number = split_class(with_class(network, network_class))
    try:
        generator = console.bench.generator(with_class(name, number))
    except ClassNeeded as needed:
        if number is not None:
            raise
        classes = {"classes": f"0 to {needed.count - 1}", "class": 0}
        generator = console.bench.generator(with_class(name, 0))
    facts = {
        "network": network,
        "file": str(console.bench.network_path(network)),
        **classes,
        **_facts(generator),
    }
    if network in KNOWN_NETWORKS:
        facts["licence"] = KNOWN_NETWORKS[network].licence
        facts["from"] = KNOWN_NETWORKS[network].url
    console.done(facts, *(f"{name:<16} {value}" for name, value in facts.items()))


def _facts(generator: Any) -> dict[str, Any]:
    from stylegan2.checkpoint import parameter_count, weights_hash

    config = generator.config
    return {
        "resolution": config.resolution,
        "height": config.shape[0],
        "width": config.shape[1],
        "num_ws": config.num_ws,
        "w_dim": config.w_dim,
        "z_dim": config.z_dim,
        "mapping_layers": config.mapping_layers,
        "channels": list(config.channels),
        "parameters": parameter_count(generator),
        "weights": weights_hash(generator),
    }


@models.command(
    cls=GroupedCommand,
    short_help="Download a known network.",
    example="realdrag models download ffhq-1024",
)
@click.argument("name")
@click.option(
    "--accept-hash",
    is_flag=True,
    help="Take the file although its hash is not the one on record, and remember its hash.",
)
@json_option
def download(name: str, accept_hash: bool, as_json: bool) -> None:
    """Download the network NAME, or go on with a download that was cut off."""
    from stylegan2 import zoo

    console = Console(as_json)
    path = zoo.resolve(name, accept_hash=accept_hash, on_progress=console.bench.downloading)
    console.done({"network": name, "file": str(path)}, str(path))


@models.command(
    cls=GroupedCommand,
    short_help="Convert a network file to safetensors.",
    example="realdrag models convert network.pkl network.safetensors",
)
@click.argument("network")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@class_option
@layout_option
@json_option
def convert(
    network: str, target: Path, network_class: int | None, layout: ExportLayout, as_json: bool
) -> None:
    """Write NETWORK, a name or a file of any supported kind, as the safetensors file TARGET."""
    from stylegan2.formats.export import export_network

    _check_target(target, ".safetensors")
    console = Console(as_json, "cpu")
    generator = console.bench.generator(with_class(network, network_class))
    with writing(target.absolute().parent):
        export_network(generator, target, layout)
    console.done({"file": str(target), **_facts(generator)}, str(target))


@models.command(
    cls=GroupedCommand,
    short_help="Write a tuned network or a latent for other tools.",
    example="realdrag models export tuned.safetensors\n"
    "realdrag models export projected_w.npz -w photo.realdrag --edited",
)
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@workspace_option
@click.option("--edited", is_flag=True, help="With .npz: the last drag's latent, not the photo's.")
@layout_option
@machine_options
def export(
    target: Path,
    workspace: Path | None,
    edited: bool,
    layout: ExportLayout,
    as_json: bool,
    device: str,
) -> None:
    """Write the workspace's tuned network (TARGET.safetensors) or its latent (TARGET.npz).

    The network carries the photo's noise, so that other tools render the same picture. The
    latent is an array "w" of shape [1, num_ws, w_dim], as NVIDIA's projector writes it.
    """
    from pipeline.disk.places import chosen_workspace
    from pipeline.jobs.export import export_latent, export_tuned

    _check_target(target, ".safetensors", ".npz")
    if edited and target.suffix == ".safetensors":
        raise click.UsageError("--edited is for a latent: end the name in .npz")
    console = Console(as_json, device)
    chosen = chosen_workspace(workspace, Path.cwd())
    if target.suffix == ".npz":
        console.run(export_latent(chosen, target, console.bench, edited=edited))
    else:
        console.run(export_tuned(chosen, target, console.bench, layout))
    console.done({"file": str(target)}, str(target))


def _check_target(target: Path, *suffixes: str) -> None:
    if target.suffix not in suffixes:
        raise click.BadParameter(
            f"{target} should end in {' or '.join(suffixes)}", param_hint="TARGET"
        )
