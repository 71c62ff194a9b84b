"""What each named control does to photos of people, seen by networks that had no part in it.

A first run makes every edit (`benchmarks/controls_edits.py`), in parts if need be: what was made
is kept, and a run with more `--samples` goes on. Then `benchmarks/mesh_and_identity.py` looks at
the crops, in an environment of its own, and a second run writes the section. Needs --faces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.controls_edits import AMOUNTS, Edit, make_edits
from benchmarks.controls_seen import Looked, Seen, photos_of, read_crop, see, skin_angle
from benchmarks.section import Cell, Options, Section, Table, mean_of
from benchmarks.sheets import beside, contact_sheet
from pipeline.controls.table import SYMMETRICAL
from stylegan2.arrays import Array

TITLE = "Named controls"

SHEET, SHOWN, TILE = "controls_sheet.jpg", 4, 150
SHEET_CONTROLS = ("smile", "mouth", "eyes", "brows", "gaze", "turn", "nod", "width")

SAME_PERSON = 0.35
"""The distance of dlib's embeddings below which we want them; its own threshold is .6."""

GROUPS = (("lighter", 41.0, 90.0), ("between", 28.0, 41.0), ("darker", -90.0, 28.0))
"""Of skin, by the individual typology angle of the cheeks (Chardon et al., 1991), in degrees; the
names and the lower two of three bounds are ours."""

HEADER = (
    "asked by mesh", "by landmarks", "others", "cheeks", "identity", "same person", "looks",
    "shortened",
)  # fmt: skip


def run(options: Options) -> Section:
    """Make the edits, or the section once they are looked at."""
    folder = options.work / "controls"
    edits = make_edits(options, folder)
    looked = Looked.read(folder)
    seen = see(edits, looked, folder)
    crops = folder / "crops"
    skin = {name: group_of(skin_angle(crops, name, looked)) for name in photos_of(edits)}
    _sheet(edits, crops).save(options.results / SHEET, quality=88, optimize=True)
    return _section(seen, skin, edits)


def group_of(angle: float) -> str:
    """Name the group of skin that an angle belongs to."""
    return next(name for name, low, high in GROUPS if low <= angle <= high)


def _figures(rows: Sequence[Seen]) -> tuple[Cell, ...]:
    same = sum(each.identity < SAME_PERSON for each in rows)
    return (
        _median(each.by_mesh for each in rows),
        _median(each.by_landmarks for each in rows if each.by_landmarks is not None),
        _median(each.others for each in rows),
        mean_of(each.cheeks for each in rows),
        mean_of(each.identity for each in rows),
        f"{same} of {len(rows)}",
        mean_of(each.edit.looks for each in rows),
        sum(each.edit.share < 1 for each in rows),
    )


def _median(values: Iterable[float]) -> str:
    found = list(values)
    return f"{np.median(found):.2f}" if found else "-"


def _by(
    seen: Sequence[Seen], key: Callable[[Seen], str], names: Iterable[str]
) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (name, *_figures(chosen))
        for name in names
        if (chosen := [each for each in seen if key(each) == name])
    )


def _section(seen: Sequence[Seen], skin: Mapping[str, str], edits: Sequence[Edit]) -> Section:
    def at(amount: float) -> list[Seen]:
        return [each for each in seen if abs(each.edit.asked) == amount]

    def signed(each: Seen) -> str:
        return f"{each.edit.control} {'+' if each.edit.asked > 0 else '-'}"

    signs = [f"{each.name} {sign}" for each in SYMMETRICAL for sign in "-+"]
    groups = [group for group, *_ in GROUPS]
    counts = {group: list(skin.values()).count(group) for group in groups}
    network = sum(each.pixels == "network" for each in edits)
    least = " and ".join(f"±{most:g} at ±{amount:g}" for amount, most in AMOUNTS.items())
    text = (
        f"{len(skin)} development photos, projected and tuned, each control at "
        f"{' and '.join(f'±{amount:g}' for amount in AMOUNTS)} where a photo can follow at least "
        f"{least}. *asked by mesh*: how much of the change asked of the control's measure an "
        "independent face mesh sees (mediapipe 0.10.21), median; *by landmarks*: the same by the "
        "landmark network that places the points; *others*: the mean change of the other parts' "
        "measures, each over what its own control does at 1, beside that, by the mesh, median: it "
        "holds the mesh's own noise. *cheeks*: mean change of their mean colour, of 255. "
        "*identity*: distance of dlib's embeddings to the photo's; *same person*: below "
        f"{SAME_PERSON:g}. *looks*: the score of how an edit looks. The network's pixels were "
        f"taken in {network} of {len(edits)} edits, else the photo's own.",
        "The contact sheet has two rows a photo: as it is, then - and + of "
        + ", ".join(SHEET_CONTROLS)
        + " at ±.5; black is what it cannot follow.",
        "By skin: photos grouped by the individual typology angle of their cheeks, above 41, 28 to "
        "41, below 28 degrees: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + ". The "
        "angle knows the light, too. Neither age nor sex is a label of this data, so that nothing "
        "can be fitted to them and nothing here measures cues of them; dlib's distance is of "
        "whatever tells people apart.",
    )
    tables = []
    for amount in AMOUNTS:
        rows = _by(at(amount), signed, signs)
        tables.append(Table(f"By control at ±{amount:g}", ("control", *HEADER), rows))
    whole = tuple((f"±{amount:g}", *_figures(at(amount))) for amount in AMOUNTS if at(amount))
    tables.append(Table("All", ("", *HEADER), whole))
    for amount in AMOUNTS:
        rows = _by(at(amount), lambda each: skin[each.edit.photo], groups)
        tables.append(Table(f"By skin at ±{amount:g}", ("skin", *HEADER), rows))
    tables.append(_drift(seen, skin, [group for group in groups if counts[group]]))
    raw = {"seen": [asdict(each) for each in seen], "skin": dict(skin)}
    return Section("controls", TITLE, text, tuple(tables), (SHEET,), raw)


def _drift(seen: Sequence[Seen], skin: Mapping[str, str], groups: Sequence[str]) -> Table:
    """Show what each control does to skin and person, group by group, both amounts together."""
    rows: list[tuple[Cell, ...]] = []
    for control in SYMMETRICAL:
        own = [each for each in seen if each.edit.control == control.name]
        parts = [[each for each in own if skin[each.edit.photo] == group] for group in groups]
        if own:
            cheeks = (mean_of(each.cheeks for each in part) for part in parts)
            identity = (mean_of(each.identity for each in part) for part in parts)
            rows.append((control.name, *cheeks, *identity))
    names = [f"{what}, {group}" for what in ("cheeks", "identity") for group in groups]
    return Table("Drift by control and skin", ("control", *names), tuple(rows))


def _sheet(edits: Sequence[Edit], crops: Path) -> Image.Image:
    """Show some photos: each, then the controls at - and +."""
    made = {each.crop for each in edits}
    amount = min(AMOUNTS)
    photos = photos_of(edits)
    rows = []
    for photo in photos[:: max(1, len(photos) // SHOWN)][:SHOWN]:
        names = [f"{photo}_{name}{a:+.1f}" for name in SHEET_CONTROLS for a in (-amount, amount)]
        tiles = [_tile(read_crop(crops, photo))]
        tiles += [
            _tile(read_crop(crops, name)) if name in made else Image.new("RGB", (TILE, TILE))
            for name in names
        ]
        half = len(tiles) // 2 + 1
        blank = [Image.new("RGB", (TILE, TILE), "white")] * (2 * half - len(tiles))
        rows += [beside(tiles[:half]), beside(tiles[half:] + blank)]
    return contact_sheet(rows, 1)


def _tile(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.LANCZOS)
