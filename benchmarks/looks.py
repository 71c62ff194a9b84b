"""Do edits look real? Crops for the eye, shuffled, and the tables of what it said.

A first run makes every edit in every way and lays the crops out on sheets in a random order,
numbered. Somebody who does not know the order gives each number 0 (broken: stains, ghosts, doubled
lips, torn hair), 1 (visible faults), 2 (fine at a glance) or 3 (a photo) in scores.txt beside the
sheets, a line each: the number and the score. A second run reads that and writes the section.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image, ImageDraw

from benchmarks.faces import load_generator
from benchmarks.inversions import DevPhoto, Inverter, TunedPhoto
from benchmarks.looks_edits import LIDS_LEFT, SHUT, Edit, edits_of
from benchmarks.methods import DEFAULT, MAIN, PAPER
from benchmarks.section import Cell, Options, Section, SectionSkipped, Table, mean_of
from benchmarks.sheets import beside, contact_sheet
from drag.points import DragPoint
from drag.session import DragConfig, DragSession
from inversion.encoder_weights import encoder_for
from inversion.faces.alignment import align, photo_to_aligned, placed
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import Points, eye_openings, mouth_opening
from inversion.perceptual import build_perceptual
from inversion.projection import ProjectionConfig
from pipeline.jobs.drag import MOTION_FEATURES
from pipeline.picture.brush import plain_motion
from pipeline.picture.composite import paste_back
from pipeline.picture.face_area import on_face
from pipeline.picture.photo import read_photo
from pipeline.picture.plausibility import plausibility
from pipeline.picture.warp import warp
from pipeline.stages.guard import as_far_as_it_holds, looks
from pipeline.stages.moved import Moved
from pipeline.stages.moving_photo import MovingPhoto
from pti.config import TuningConfig
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator
from stylegan2.images import to_tensor, to_uint8

TITLE = "Do edits look real?"

FACE = 320
"""Side of the crops that are scored."""

SHEET = (5, 4)
"""Crops across and down on a sheet that is scored."""

SHOWN, TILE = 6, 160
"""Photos in the published contact sheet, and the side of its pictures."""

WAYS: Mapping[str, str] = MappingProxyType(
    {
        "realdrag": "the default, without tuning.",
        "plain warp": "what a liquify brush does (Wendland kernels).",
        "network pasted": "`--paste network`.",
        "DragGAN pasted": "the paper's drag of the tuned network, its picture put in place.",
    }
)
"""Ours; a soft brush; our drag of the tuned network, its pixels; the paper's, pasted plainly."""

SLOW = ("network pasted", "DragGAN pasted")
"""They need a tuned network; `--quick` leaves them out."""
SLOW_PHOTOS = 1
"""Photos that the slow ways are made of: a drag as published takes a minute."""

SEEN = frozenset(f"d{number:02}" for number in range(10))
"""The photos on which the motion was built; scoring them would flatter."""

Key = tuple[str, str, str, str]
"""Strength, edit, way and photo."""

Scores = dict[Key, int]


@dataclass(frozen=True)
class Case:
    """A photo with its face: the crop's corners, the aligned face, and its 68 points in it."""

    name: str
    pixels: UInt8Image
    quad: Float64Array
    aligned: UInt8Image
    points: Float64Array


def run(options: Options) -> Section:
    """Make the crops, or the section once they are scored."""
    folder = options.work / "looks"
    generator = load_generator(options)
    cases = list(islice(_cases(options, generator.resolution), options.number(4, 40)))
    ways = [way for way in WAYS if not (options.quick and way in SLOW)]
    made = _crops(options, generator, cases, ways, folder / "crops")
    key = sorted(made)
    random.Random(options.seed).shuffle(key)
    scores = _read_scores(folder / "scores.txt", key)
    if scores is None:
        sheets = _write_sheets([made[each] for each in key], folder)
        raise SectionSkipped(
            f"{len(key)} crops on {sheets} sheets in {folder} are to be scored: see this "
            "benchmark's first lines; then run it again"
        )
    _published(cases, ways, made).save(options.results / "looks_sheet.jpg", quality=88)
    section = _section(scores, _ruled(cases, made), ways, len(cases))
    return replace(section, tables=(*section.tables, _openings(cases, made)))


class Maker:
    """Makes edits of one photo; what is slow is made when it is first needed."""

    def __init__(self, options: Options, generator: Generator, case: Case) -> None:
        self._options, self._generator, self._case = options, generator, case
        self._target = to_tensor(case.aligned, options.device)

    def make(self, way: str, edit: Edit) -> UInt8Image:
        """Return the whole photo, edited."""
        ways: dict[str, Callable[[Edit], UInt8Image]] = {
            "realdrag": self._ours,
            "plain warp": self._plain,
            "network pasted": lambda edit: self._pasted(edit, DEFAULT),
            "DragGAN pasted": lambda edit: self._pasted(edit, PAPER),
        }
        return ways[way](edit)

    def _plain(self, edit: Edit) -> UInt8Image:
        case = self._case
        motion = plain_motion(edit.points, len(case.aligned), edit.movable_mask)
        return warp(case.pixels, case.quad, motion)

    def _ours(self, edit: Edit) -> UInt8Image:
        case, generator = self._case, self._generator
        encoder = encoder_for(weights_hash(generator))
        if encoder is None:
            raise SectionSkipped("this network has no encoder")
        ws = encoder.ws(self._target.cpu(), generator.num_ws).to(self._target.device)
        mask = None if edit.movable_mask is None else torch.from_numpy(edit.movable_mask)
        features = min(MOTION_FEATURES, generator.resolution // 2)
        config = DragConfig(features=features)
        photo = photo_of(case, edit)
        before = after = case.aligned
        if photo.followed:
            session = DragSession(generator, ws, None, photo.for_network, config, mask)
            before = to_uint8(session.picture())
            for _ in session.run():
                pass
            with torch.no_grad():
                after = to_uint8(generator.synthesis(session.result[1], None))

        def made(share: float) -> Moved:
            return photo.moved(before, after, photo.on_the_way(photo.ends, share))

        held = as_far_as_it_holds(made, partial(looks, photo))
        return held.moved.of(case.pixels, case.quad)

    def _pasted(self, edit: Edit, method: str) -> UInt8Image:
        case, tuned = self._case, self._tuned
        inversion, generator = tuned.inversion, tuned.generator
        mask = None if edit.movable_mask is None else torch.from_numpy(edit.movable_mask)
        points = _inside(edit.points, generator.resolution)
        noise = inversion.noise_consts
        made = MAIN[method](generator, inversion.w_pivot, noise, points, mask)
        if method == PAPER:
            return _plainly_pasted(case, to_uint8(made.picture))
        with torch.no_grad():
            before = to_uint8(generator.synthesis(inversion.w_pivot, noise))
        return paste_back(case.pixels, case.quad, before, to_uint8(made.picture))

    @cached_property
    def _tuned(self) -> TunedPhoto:
        perceptual = build_perceptual(device=self._options.device)
        inverter = Inverter(self._options, self._generator, perceptual)
        photo = DevPhoto(self._case.name, self._target, np.zeros((5, 2)))
        return inverter.tune(photo, ProjectionConfig(), TuningConfig())


def photo_of(case: Case, edit: Edit) -> MovingPhoto:
    """Return a photo that is to be edited, as a drag of it has it."""
    face = load_landmarker().landmarks68(case.aligned)
    points = edit.points
    followed = tuple(i for i, point in enumerate(points) if on_face(face, point.handle))
    starts = [point.handle for point in points]
    mask = edit.movable_mask
    whole = MovingPhoto(case.aligned, points, followed, mask, starts, None, face, True)
    return whole.with_own_ways()


def _plainly_pasted(case: Case, picture: UInt8Image) -> UInt8Image:
    """Put a picture of the crop in the crop's place, nothing blended."""
    import cv2

    matrix = photo_to_aligned(case.quad, len(picture))[:2]
    height, width = case.pixels.shape[:2]
    sampling = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(
        picture, matrix, (width, height), flags=sampling, borderMode=cv2.BORDER_REPLICATE
    )
    inside = cv2.warpAffine(
        np.ones(picture.shape[:2], np.uint8), matrix, (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    return np.where(inside[..., None] > 0, large, case.pixels).astype(np.uint8)


def _inside(points: tuple[DragPoint, ...], size: int) -> list[DragPoint]:
    """Take targets outside the crop to its edge, for the network."""
    edge = size - 1.0
    near = [(point, [min(max(v, 0.0), edge) for v in point.target]) for point in points]
    return [DragPoint(point.handle, (x, y)) for point, (x, y) in near]


def _cases(options: Options, size: int) -> Iterator[Case]:
    if options.faces is None:
        raise SectionSkipped("it needs photos of people: name their folder with --faces FOLDER")
    with np.load(options.faces / "dev_landmarks.npz", allow_pickle=False) as stored:
        names, quads, points = stored["id"], stored["quad"], stored["photo68"]
    alike = _alike(options.faces / "index.tsv")
    for name, quad, face in zip(names, quads.astype(np.float64), points, strict=True):
        if str(name) in alike | SEEN:
            continue
        pixels = read_photo(options.faces / "dev" / f"{name}.jpg").pixels
        matrix = photo_to_aligned(quad, size)
        in_crop = placed(matrix, face.astype(np.float64))
        yield Case(str(name), pixels, quad, align(pixels, quad, size).image, in_crop)


def _alike(index: Path) -> set[str]:
    """Return the photos of the London set: one pose, one light, one wall."""
    if not index.exists():
        return set()
    with open(index, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["id"] for row in rows if row["source"].startswith("london")}


def _ruled(cases: Sequence[Case], made: Mapping[Key, Path]) -> dict[Key, float]:
    """Score the crops by measure, as the guard does."""
    photos = {case.name: align(case.pixels, case.quad, FACE).image for case in cases}
    find = load_landmarker().landmarks68
    faces = {name: find(photo) for name, photo in photos.items()}
    scores = {}
    for key, path in made.items():
        with Image.open(path) as file:
            crop = np.asarray(file)
        photo = photos[key[3]]
        scores[key] = plausibility(photo, crop, find(crop), faces[key[3]]).score
    return scores


def _openings(cases: Sequence[Case], made: Mapping[Key, Path]) -> Table:
    """Tell what eyes and mouths are opened after an edit, by the landmarks of the crops."""
    find = load_landmarker().landmarks68
    measures: dict[str, Callable[[Points], float]] = {
        "wink": lambda face: eye_openings(face)[1],
        "eyes opened": lambda face: float(np.mean(eye_openings(face))),
        "mouth shut": mouth_opening,
    }
    faces = {case.name: find(align(case.pixels, case.quad, FACE).image) for case in cases}
    shares: dict[str, dict[str, list[float]]] = {}
    for (_, edit, way, name), path in sorted(made.items()):
        if edit in measures:
            with Image.open(path) as file:
                after = measures[edit](find(np.asarray(file)))
            of_way = shares.setdefault(way, {each: [] for each in measures})
            of_way[edit].append(after / measures[edit](faces[name]))
    rows: list[tuple[Cell, ...]] = [
        (way, *(mean_of(each) for each in of_way.values())) for way, of_way in shares.items()
    ]
    title = (
        f"What is left of an opening, as a share of it (a wink is to leave {LIDS_LEFT:g}, a shut "
        f"mouth {1 - SHUT:.2f})"
    )
    return Table(title, ("way", *measures), tuple(rows))


def _crops(
    options: Options, generator: Generator, cases: list[Case], ways: list[str], folder: Path
) -> dict[tuple[str, str, str, str], Path]:
    """Make every edit in every way, or remember it: crops by strength, edit, way and photo."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for number, case in enumerate(cases, start=1):
        options.say(f"  photo {number} of {len(cases)}")
        maker = Maker(options, generator, case)
        own = ways if number <= SLOW_PHOTOS else [way for way in ways if way not in SLOW]
        for edit in edits_of(case.points, generator.resolution):
            for way in own:
                name = f"{case.name}-{edit.strength}-{edit.name}-{way}.png".replace(" ", "_")
                path = folder / name
                if not path.exists():
                    whole = maker.make(way, edit)
                    Image.fromarray(align(whole, case.quad, FACE).image).save(path)
                made[edit.strength, edit.name, way, case.name] = path
    return made


def _write_sheets(crops: list[Path], folder: Path) -> int:
    across, down = SHEET
    count = 0
    for first in range(0, len(crops), across * down):
        sheet = Image.new("RGB", (across * FACE, down * FACE))
        draw = ImageDraw.Draw(sheet)
        for i, path in enumerate(crops[first : first + across * down]):
            at = i % across * FACE, i // across * FACE
            with Image.open(path) as crop:
                sheet.paste(crop, at)
            draw.rectangle((*at, at[0] + 34, at[1] + 14), fill="white")
            draw.text((at[0] + 3, at[1] + 1), str(first + i + 1), fill="black")
        count += 1
        sheet.save(folder / f"sheet-{count:02}.jpg", quality=92)
    return count


def _read_scores(path: Path, key: list[tuple[str, str, str, str]]) -> Scores | None:
    """Read the scores of all crops; None before there are any."""
    if not path.exists():
        return None
    given = {}
    for line in path.read_text("utf-8").split("\n"):
        if line.strip():
            number, score = map(int, line.split())
            if score not in (0, 1, 2, 3):
                raise SectionSkipped(f"{path}: {line!r} is no score: 0, 1, 2 or 3")
            given[number] = score
    missing = [n for n in range(1, len(key) + 1) if n not in given]
    if missing:
        raise SectionSkipped(f"{path}: there is no score of {', '.join(map(str, missing[:20]))}")
    return {each: given[number] for number, each in enumerate(key, start=1)}


def _published(
    cases: list[Case], ways: list[str], made: dict[tuple[str, str, str, str], Path]
) -> Image.Image:
    """Show some photos, an edit each: the photo, then it edited in every way."""
    edits = sorted({key[:2] for key in made if key[0] != "6%"})
    rows = []
    for i, case in enumerate(cases[:: max(1, len(cases) // SHOWN)][:SHOWN]):
        own = [edit for edit in edits if (*edit, ways[0], case.name) in made]
        strength, name = own[i % len(own)]
        tiles = [Image.fromarray(align(case.pixels, case.quad, TILE).image)]
        for way in ways:
            path = made.get((strength, name, way, case.name))
            if path is None:
                tiles.append(Image.new("RGB", (TILE, TILE), "white"))
                continue
            with Image.open(path) as crop:
                tiles.append(crop.resize((TILE, TILE), Image.Resampling.LANCZOS))
        rows.append(beside(tiles))
    return contact_sheet(rows, 1)


def _section(
    scores: Scores, ruled: Mapping[Key, float], ways: Sequence[str], photos: int
) -> Section:
    tables = []
    for strength in dict.fromkeys(key[0] for key in scores):
        edits = list(dict.fromkeys(key[1] for key in scores if key[0] == strength))
        rows: list[tuple[Cell, ...]] = []
        for way in ways:
            of_way = {k: v for k, v in scores.items() if k[0] == strength and k[2] == way}
            columns = [mean_of(v for k, v in of_way.items() if k[1] == edit) for edit in edits]
            whole = mean_of(of_way.values())
            broken = sum(score == 0 for score in of_way.values())
            ruler = mean_of(ruled[each] for each in of_way)
            rows.append((way, *columns, whole, f"{broken} of {len(of_way)}", ruler))
        title = f"{strength} of the face's width" if strength != "special" else "Eyes and mouth"
        tables.append(Table(title, ("way", *edits, "all", "broken", "ruler"), tuple(sorted(rows))))
    text = (
        f"{photos} photos whose people trained nothing, without the London set (one pose, one "
        "light); edits placed by their landmarks, nothing chosen. Crops of 320 pixels, all ways "
        "shuffled, scored by a model's eye without the key: 0 broken (stains, ghosts, doubled "
        "lips, torn hair), 1 visible faults, 2 fine at a glance, 3 a photo; whether the edit is "
        "there at all is the last table's (the landmark network has seen few shut eyes, and says "
        "they are half open). "
        + " ".join(f"*{way}*: {WAYS[way]}" for way in ways)
        + " *ruler*: the measured score of the same crops, which the guard goes by "
        "(pipeline/picture/plausibility.py); the guard also knows where a mouth opened, which "
        "pictures do not say.",
        f"The contact sheet: the photo, then {', '.join(ways)}."
        + (
            f" Those that need a tuned network: {SLOW_PHOTOS} photo."
            if set(SLOW) & set(ways)
            else ""
        ),
    )
    raw = [[*key, score, round(ruled[key], 2)] for key, score in sorted(scores.items())]
    return Section("looks", TITLE, text, tuple(tables), ("looks_sheet.jpg",), {"scores": raw})
