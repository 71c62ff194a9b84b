"""The command that opens the studio."""

from __future__ import annotations

import io
from pathlib import Path

import click

from pipeline.commands.console import Console
from pipeline.commands.options import GroupedCommand, machine_options, network_option
from stylegan2.network_names import with_class

WARNING = (
    "Whoever has this address sees and edits the photos in this folder, and what goes over the "
    "network is not encrypted: do this at home only, and end it when you are done."
)


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
@click.option(
    "--host",
    metavar="NAME[:PORT]",
    help="Also open it elsewhere, under this name: the machine's in its network, for a phone; or "
    "that of a tunnel's end, as localhost:8000.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@network_option
@machine_options
def studio(
    photo: Path | None,
    port: int,
    host: str | None,
    no_browser: bool,
    network: str,
    network_class: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Open a local page to drag PHOTO, or one that you drop there; Ctrl-C ends it.

    The page is served to this machine only, unless --host says otherwise. Photos and edits lie in
    the current folder, as with the other commands.
    """
    from pipeline.machine.devices import pick_device
    from pipeline.studio.web.serve import is_here, serve

    console = Console(as_json, device)
    pick_device(device)
    network = with_class(network, network_class)
    console.bench.network_path(network)

    def ready(address: str) -> None:
        lines = [f"the studio is open at {address}", "Ctrl-C ends it."]
        elsewhere = host is not None and not is_here(host)
        if elsewhere:
            lines += [WARNING, *_code(address)]
        console.done({"address": address}, *lines)
        if not no_browser and not elsewhere:
            click.launch(address)

    serve(
        Path.cwd(),
        photo=photo,
        port=port,
        network=network,
        device=device,
        host=host,
        ready=ready,
    )


def _code(address: str) -> list[str]:
    """Draw an address as a QR code for a phone's camera, where segno is installed to do it."""
    try:
        import segno
    except ImportError:
        return ["(pip install segno, and the address is drawn here as a code for a phone)"]
    drawn = io.StringIO()
    segno.make(address, error="l").terminal(out=drawn, compact=True, border=2)
    return drawn.getvalue().splitlines()
