"""The command that opens the studio."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.commands.console import Console
from pipeline.commands.options import GroupedCommand, machine_options, network_option


@click.command(
    cls=GroupedCommand,
    short_help="Open the studio: drag a photo in the browser.",
    example="realdrag studio photo.jpg",
)
@click.argument("photo", required=False, type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where the page is served; any free port if left out.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@network_option
@machine_options
def studio(
    photo: Path | None, port: int, no_browser: bool, network: str, device: str, as_json: bool
) -> None:
    """Open a local page to drag PHOTO, or one that you drop there; Ctrl-C ends it.

    The page is served to this machine only. Photos and edits lie in the current folder, as with
    the other commands.
    """
    from pipeline.machine.devices import pick_device
    from pipeline.studio.web.serve import serve

    console = Console(as_json, device)
    pick_device(device)
    console.bench.network_path(network)

    def ready(address: str) -> None:
        console.done({"address": address}, f"the studio is open at {address}", "Ctrl-C ends it.")
        if not no_browser:
            click.launch(address)

    serve(Path.cwd(), photo=photo, port=port, network=network, device=device, ready=ready)
