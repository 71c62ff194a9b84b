"""What each named control does to photos of people, seen by networks that had no part in it.

A first run makes every edit. Then `benchmarks/mesh_and_identity.py` looks at the crops, in an
environment of its own, and a second run writes the section. Needs --faces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.inversions import dev_photos
from benchmarks.section import Cell, Options, Section, SectionSkipped, Table, mean_of
from benchmarks.sheets import beside, contact_sheet
from inversion.faces.alignment import align
from inversion.faces.landmark_network import load_landmarker
from pipeline.controls.measures import measures
from pipeline.controls.table import CONTROLS, SYMMETRICAL, Control
from pipeline.disk.artifact import Artifact, read_artifact
from pipeline.disk.workspace import Workspace
from pipeline.picture.photo import read_photo
from realdrag.photo import open as open_photo
from stylegan2.arrays import Array, Float64Array, UInt8Image

TITLE = "Named controls"

AMOUNT = 0.5
LEAST = 0.2
"""Of that, what a photo can follow at least, or the edit is left out."""

SIDE = 512
"""Of the crops that are looked at."""

NETWORK_SIDE = 256
SHEET, SHOWN, TILE = "controls_sheet.jpg", 4, 150
SHEET_CONTROLS = ("smile", "mouth", "eyes", "brows", "turn", "nod", "width")

SAME_PERSON = 0.35
"""The distance of dlib's embeddings below which we want them; its own threshold is .6."""

CHEEKS = (50, 205, 280, 425)
CHEEK_RADIUS = 0.1
"""Points of the mesh amid the cheeks, and how far around them colour is looked at, in eye
distances."""

MESH68 = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Points of the mesh that lie where iBUG's 68 do, as is usual."""

GROUPS = (("lighter", 41.0, 90.0), ("between", 28.0, 41.0), ("darker", -90.0, 28.0))
"""Of skin, by the individual typology angle of the cheeks (Chardon et al., 1991), in degrees; the
names and the lower two of three bounds are ours."""


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


@dataclass(frozen=True)
class Seen:
    """What was measured of an edit. reached and others are shares of what was asked."""

    edit: Edit
    by_mesh: float
    by_landmarks: float
    others: float
    cheeks: float
    identity: float


def run(options: Options) -> Section:
    """Make the edits, or the section once they are looked at."""
    folder = options.work / "controls"
    edits = _edits(options, folder)
    stored = folder / "measured.npz"
    if not stored.is_file():
        raise SectionSkipped(
            f"the crops in {folder} are to be looked at by networks of others: see "
            "benchmarks/mesh_and_identity.py; then run this again"
        )
    with np.load(stored, allow_pickle=False) as read:
        order = {name: i for i, name in enumerate(read["name"].tolist())}
        meshes, embeddings = read["mesh"], read["embedding"]
    if missing := [each.crop for each in edits if each.crop not in order]:
        raise SectionSkipped(f"{len(missing)} crops have not been looked at, {missing[0]} first")
    seen = []
    for edit in edits:
        before, after = order[edit.photo], order[edit.crop]
        if np.isfinite(meshes[[before, after]]).all():
            apart = float(np.linalg.norm(embeddings[before] - embeddings[after]))
            seen.append(_seen(edit, meshes[before], meshes[after], apart, folder / "crops"))
    angles = {name: _skin(folder / "crops", name, meshes[order[name]]) for name in _photos(edits)}
    _sheet(edits, folder / "crops").save(options.results / SHEET, quality=88, optimize=True)
    return _section(seen, angles, edits)


def _photos(edits: Iterable[Edit]) -> list[str]:
    return list(dict.fromkeys(each.photo for each in edits))


def _edits(options: Options, folder: Path) -> list[Edit]:
    """Make what was not made by an earlier run; every photo's edits are written when it is done."""
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    edits: list[Edit] = []
    for photo in islice(dev_photos(options.faces, NETWORK_SIDE), options.number(2, 40)):
        listing = folder / f"{photo.name}.json"
        if not listing.is_file():
            options.say(f"  {photo.name}")
            made = [asdict(each) for each in _edit_photo(options, folder, photo.name)]
            listing.write_text(json.dumps(made, indent=1), encoding="utf-8")
        edits += [Edit(**each) for each in json.loads(listing.read_text(encoding="utf-8"))]
    return edits


def _edit_photo(options: Options, folder: Path, name: str) -> Iterator[Edit]:
    assert options.faces is not None
    opened = open_photo(
        options.faces / "dev" / f"{name}.jpg",
        network=options.network,
        workspace=folder / f"{name}.realdrag",
        device=options.device,
    )
    opened.prepare()
    quad = np.array(_artifact(opened.workspace, "align").info["quad"], np.float64)

    def keep(pixels: UInt8Image, crop: str) -> None:
        Image.fromarray(align(pixels, quad, SIDE).image).save(folder / "crops" / f"{crop}.png")

    ranges = opened.controls()
    keep(read_photo(opened.path).pixels, name)
    for control in SYMMETRICAL:
        for asked in (-AMOUNT, AMOUNT):
            known = ranges[control.name]
            taken = min(max(asked, known.low), known.high)
            if abs(taken) < LEAST:
                continue
            edit = opened.apply({control.name: asked})
            pixels = str(_artifact(opened.workspace, "drag").info["pixels"])
            made = Edit(name, control.name, asked, taken, edit.share, edit.looks, pixels)
            keep(edit.pixels, made.crop)
            yield made


def _artifact(workspace: Workspace, stage: str) -> Artifact:
    state = workspace.read_state()
    request = None if state is None else state.request(stage)
    assert request is not None
    return read_artifact(workspace.artifacts / request.folder_name)


def _seen(
    edit: Edit, before: Float64Array, after: Float64Array, identity: float, crops: Path
) -> Seen:
    pictures = [_read(crops / f"{name}.png") for name in (edit.photo, edit.crop)]
    by_mesh, others = _reached(edit, before[list(MESH68)], after[list(MESH68)])
    find = load_landmarker().landmarks68
    ours = [np.asarray(find(_small(each)), np.float64) for each in pictures]
    by_landmarks, _ = _reached(edit, *ours)
    colours = [_cheeks(*each) for each in zip(pictures, (before, after), strict=True)]
    drift = float(np.abs(colours[1] - colours[0]).mean())
    return Seen(edit, by_mesh, by_landmarks, others, drift, identity)


def _reached(edit: Edit, before: Float64Array, after: Float64Array) -> tuple[float, float]:
    """Return how much of what was asked the measure did, and what others did beside that.

    Others are the measures of the other parts, each over what its own control does at 1.
    """
    first, last = measures(before), measures(after)
    own = CONTROLS[edit.control]

    def change(control: Control) -> float:
        moved = last[control.measure] - first[control.measure]
        return moved / (control.rise if moved > 0 else control.fall)

    flat = {"pose", "shape"}
    others = [
        abs(change(each))
        for each in SYMMETRICAL
        if each.part != own.part and not {each.part, own.part} <= flat
    ]
    return change(own) / edit.taken, float(np.mean(others)) / abs(edit.taken)


def _cheeks(pixels: UInt8Image, mesh: Float64Array) -> Float64Array:
    """Return the mean colour [3] around the cheeks' points."""
    eyes = np.hypot(*(mesh[[33, 133]].mean(axis=0) - mesh[[362, 263]].mean(axis=0)))
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for x, y in np.rint(mesh[list(CHEEKS)]).astype(int).tolist():
        cv2.circle(mask, (x, y), max(1, round(CHEEK_RADIUS * float(eyes))), (255.0,), -1)
    return np.asarray(pixels[mask > 0].mean(axis=0), np.float64)


def _skin(crops: Path, name: str, mesh: Float64Array) -> float:
    """Return the individual typology angle of a photo's cheeks, in degrees."""
    colour = _cheeks(_read(crops / f"{name}.png"), mesh)[None, None].astype(np.float32) / 255
    lightness, _, yellow = np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2LAB))[0, 0].tolist()
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def _read(path: Path) -> UInt8Image:
    return np.asarray(Image.open(path).convert("RGB"))


def _small(pixels: UInt8Image) -> UInt8Image:
    side = (NETWORK_SIDE, NETWORK_SIDE)
    return np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), np.uint8)


def _section(seen: Sequence[Seen], angles: Mapping[str, float], edits: Sequence[Edit]) -> Section:
    def median(values: Iterable[float]) -> str:
        found = list(values)
        return f"{np.median(found):.2f}" if found else "-"

    def figures(rows: Sequence[Seen]) -> tuple[Cell, ...]:
        same = sum(each.identity < SAME_PERSON for each in rows)
        return (
            median(each.by_mesh for each in rows),
            median(each.by_landmarks for each in rows),
            median(each.others for each in rows),
            mean_of(each.cheeks for each in rows),
            mean_of(each.identity for each in rows),
            f"{same} of {len(rows)}",
            mean_of(each.edit.looks for each in rows),
            sum(each.edit.share < 1 for each in rows),
        )

    def rows_by(key: Callable[[Seen], str], names: Iterable[str]) -> tuple[tuple[Cell, ...], ...]:
        return tuple(
            (name, *figures(chosen))
            for name in names
            if (chosen := [each for each in seen if key(each) == name])
        )

    header = (
        "asked by mesh", "by landmarks", "others", "cheeks", "identity", "same person", "looks",
        "shortened",
    )  # fmt: skip
    signs = [f"{each.name} {sign}" for each in SYMMETRICAL for sign in "-+"]
    skin = {name: _group(angle) for name, angle in angles.items()}
    counts = {group: list(skin.values()).count(group) for group, *_ in GROUPS}
    network = sum(each.pixels == "network" for each in edits)
    text = (
        f"{len(angles)} development photos, projected and tuned, each control at ±{AMOUNT:g} where "
        f"a photo can follow at least ±{LEAST:g}. *asked by mesh*: how much of the change asked of "
        "the control's measure an independent face mesh sees (mediapipe 0.10.21), median; *by "
        "landmarks*: the same by the landmark network that places the points; *others*: the mean "
        "change of the other parts' measures, each over what its own control does at 1, beside "
        "that, by the mesh, median: it holds the mesh's own noise. *cheeks*: mean change of their "
        "mean colour, of 255. *identity*: distance of dlib's embeddings to the photo's; *same "
        f"person*: below {SAME_PERSON:g}. *looks*: the score of how an edit looks. The network's "
        f"pixels were taken in {network} of {len(edits)} edits, else the photo's own.",
        "The contact sheet has two rows a photo: as it is, then - and + of "
        + ", ".join(SHEET_CONTROLS)
        + "; black is what it cannot follow.",
        "By skin: photos grouped by the individual typology angle of their cheeks, above 41, 28 to "
        "41, below 28 degrees: " + ", ".join(f"{n} {name}" for name, n in counts.items()) + ". The "
        "angle knows the light, too. Age and sex have no group in this data, and nothing here "
        "measures cues of them.",
    )
    tables = (
        Table(
            "By control",
            ("control", *header),
            rows_by(lambda s: f"{s.edit.control} {'+' if s.edit.asked > 0 else '-'}", signs),
        ),
        Table("All", ("", *header), rows_by(lambda s: "all", ["all"])),
        Table(
            "By skin",
            ("skin", *header),
            rows_by(lambda s: skin[s.edit.photo], [group for group, *_ in GROUPS]),
        ),
    )
    raw = {"seen": [asdict(each) for each in seen], "skin": dict(angles)}
    return Section("controls", TITLE, text, tables, (SHEET,), raw)


def _group(angle: float) -> str:
    return next(name for name, low, high in GROUPS if low <= angle <= high)


def _sheet(edits: Sequence[Edit], crops: Path) -> Image.Image:
    """Show some photos: each, then the controls at - and +."""
    made = {each.crop for each in edits}
    rows = []
    for photo in _photos(edits)[:: max(1, len(_photos(edits)) // SHOWN)][:SHOWN]:
        names = [f"{photo}_{name}{a:+.1f}" for name in SHEET_CONTROLS for a in (-AMOUNT, AMOUNT)]
        tiles = [_tile(_read(crops / f"{photo}.png"))]
        tiles += [
            _tile(_read(crops / f"{name}.png")) if name in made else Image.new("RGB", (TILE, TILE))
            for name in names
        ]
        half = len(tiles) // 2 + 1
        blank = [Image.new("RGB", (TILE, TILE), "white")] * (2 * half - len(tiles))
        rows += [beside(tiles[:half]), beside(tiles[half:] + blank)]
    return contact_sheet(rows, 1)


def _tile(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.LANCZOS)
