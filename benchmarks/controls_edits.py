"""Edits of development photos by named controls, each kept on disk as soon as it is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from benchmarks.inversions import dev_photos
from benchmarks.section import Options
from inversion.faces.alignment import align
from pipeline.controls.table import SYMMETRICAL
from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.storage import replace_file
from pipeline.disk.workspace import Workspace
from pipeline.picture.photo import read_photo
from realdrag.photo import Photo
from realdrag.photo import open as open_photo
from stylegan2.arrays import UInt8Image

AMOUNTS: Mapping[float, float] = MappingProxyType({0.5: 0.2, 1.0: 0.6})
"""Both ways, and what a photo has to be able to follow of each: edits of less are left out, and
so are those at 1 that would hardly differ from those at .5."""

SIDE = 512
"""Of the crops that are looked at."""

NETWORK_SIDE = 256


@dataclass(frozen=True)
class Edit:
    """An edit that was made: taken is the amount after the photo's range, share how far it went."""

    photo: str
    control: str
    asked: float
    taken: float
    share: float
    looks: float
    pixels: str

    @property
    def crop(self) -> str:
        """Name of its crop."""
        return f"{self.photo}_{self.control}{self.asked:+.1f}"


def make_edits(options: Options, folder: Path) -> list[Edit]:
    """Make what earlier runs did not make, and return all of it.

    A run that is killed loses the edit that it was at; one with more photos, or with a control that
    is new, makes only what is missing.
    """
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    edits: list[Edit] = []
    for photo in islice(dev_photos(options.faces, NETWORK_SIDE), options.number(2, 40)):
        listing = folder / f"{photo.name}.json"
        made: dict[str, Edit | None] = {}
        if listing.is_file():
            stored = json.loads(listing.read_text(encoding="utf-8"))
            made = {name: each and Edit(**each) for name, each in stored.items()}
        for name, edit in _missing(options, folder, photo.name, made):
            made[name] = edit
            plain = {each: kept and asdict(kept) for each, kept in made.items()}
            replace_file(listing, json.dumps(plain, indent=1).encode())
        edits += [each for each in made.values() if each is not None]
    return edits


def asked_for() -> Iterator[tuple[str, str, float]]:
    """Yield every edit of a photo: its name, the control, and the amount."""
    for control in SYMMETRICAL:
        for size in AMOUNTS:
            for amount in (-size, size):
                yield f"{control.name}{amount:+.1f}", control.name, amount


def _missing(
    options: Options, folder: Path, name: str, made: Mapping[str, Edit | None]
) -> Iterator[tuple[str, Edit | None]]:
    """Yield the edits that are not made, None where the photo cannot follow."""
    wanted = [each for each in asked_for() if each[0] not in made]
    if not wanted:
        return
    options.say(f"  {name}: {len(wanted)} to make")
    photo = _open(options, folder, name)
    photo.prepare()
    quad = np.array(_artifact(photo.workspace, "align").info["quad"], np.float64)

    def keep(pixels: UInt8Image, crop: str) -> None:
        Image.fromarray(align(pixels, quad, SIDE).image).save(folder / "crops" / f"{crop}.png")

    keep(read_photo(photo.path).pixels, name)
    ranges = photo.controls()
    for key, control, asked in wanted:
        taken = min(max(asked, ranges[control].low), ranges[control].high)
        if abs(taken) < AMOUNTS[abs(asked)]:
            yield key, None
            continue
        edit = photo.apply({control: asked})
        pixels = str(_artifact(photo.workspace, "drag").info["pixels"])
        made_now = Edit(name, control, asked, taken, edit.share, edit.looks, pixels)
        keep(edit.pixels, made_now.crop)
        yield key, made_now


def _open(options: Options, folder: Path, name: str) -> Photo:
    assert options.faces is not None
    return open_photo(
        options.faces / "dev" / f"{name}.jpg",
        network=options.network,
        workspace=folder / f"{name}.realdrag",
        device=options.device,
    )


def _artifact(workspace: Workspace, stage: str) -> Artifact:
    state = workspace.read_state()
    request = None if state is None else state.request(stage)
    assert request is not None
    return read_artifact(workspace.artifacts / request.folder_name)
