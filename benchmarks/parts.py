"""What each part of a drag brings: one thing changed at a time, for the literal method and ours.

DragGAN (arXiv 2305.10973), section 4.3, has the feature block, r1, W against W+ and the mask;
table 1 the trackers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from benchmarks.draggan import PaperSettings
from benchmarks.drags import SHAPES, Handle, Shape, StandardDrag, standard_drags
from benchmarks.faces import (
    LandmarkDetector,
    RandomFace,
    faces_with_landmarks,
    five_of,
    load_generator,
)
from benchmarks.kept import Kept
from benchmarks.measures import EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import DEFAULT, METHODS, PAPER, Method, by_paper, by_session
from benchmarks.photos import change_outside
from benchmarks.section import Cell, Options, Section, Table, mean_of
from benchmarks.trackers import Tracker, by_dis, load_raft
from drag.methods import METHODS as METHODS_OF_DRAGS
from drag.session import DragConfig
from inversion.perceptual import PerceptualDistance, build_perceptual
from stylegan2.checkpoint import weights_hash
from stylegan2.downloads.transfer import DownloadFailed
from stylegan2.generator import Generator

TITLE = "What each part of a drag brings"

DRAGS = ("mouth wider", "head turn", "brows up")
FARTHER = 3.0
"""How much longer a way is that leads out of the data: a head turned by .6 eye distances."""

QUICK = ("tracker", "space")
"""Parts of the literal method that the quick form has time for: each of its drags takes long."""

SHOWN = ("remaining", "pixel error", "followed", "DAI", "seen", "arrived", "steps")


@dataclass(frozen=True)
class Part:
    """A row: which part of whose method, and its value; label is what its samples are kept by."""

    part: str
    who: str
    value: str
    method: Method
    masked: bool = False
    longer: float = 1.0

    @property
    def label(self) -> str:
        """Name the sample; rows that are the method as it is share theirs."""
        if self.method is METHODS[self.who] and not self.masked and self.longer == 1.0:
            return self.who
        return f"{self.who} {self.part} {self.value}"


def parts(generator: Generator, trackers: Mapping[str, Tracker]) -> list[Part]:
    """List the rows for a network."""

    def paper(part: str, value: object, **change: Any) -> Part:
        settings = PaperSettings(**change)
        usual = settings == PaperSettings()
        method = METHODS[PAPER] if usual else partial(by_paper, settings=settings)
        return Part(part, PAPER, str(value), method)

    def ours(part: str, value: object, **change: Any) -> Part:
        config = DragConfig(**change)
        usual = config == DragConfig()
        method = METHODS[DEFAULT] if usual else partial(by_session, config=config)
        return Part(part, DEFAULT, str(value), method)

    flows = [
        Part("tracker", PAPER, name, partial(by_paper, settings=PaperSettings(), tracker=tracker))
        for name, tracker in trackers.items()
    ]
    half = min(128, generator.resolution // 2)
    # None: the usual one, so that its samples are shared.
    sizes = [(half // 4, half // 4), (half // 2, half // 2), (half, None)]
    sizes = [(size, setting) for size, setting in sizes if size >= 16]
    counts = sorted({min(count, generator.num_ws) for count in (4, 6, 8, generator.num_ws)})
    own = METHODS_OF_DRAGS["newton"].r1
    radii = [(own / 2, own / 2), (own, None), (2 * own, 2 * own)]
    rows = [
        paper("tracker", "features"),
        paper("tracker", "none", tracking=False),
        *flows,
        *(paper("features", size, features=setting) for size, setting in sizes),
        *(ours("features", size, features=setting) for size, setting in sizes),
        *(paper("r1", f"{radius:g}", r1=radius) for radius in (1.0, 3.0, 12.0)),
        *(ours("r1", f"{radius:g}", r1=setting) for radius, setting in radii),
        paper("space", "W+"),
        paper("space", "W", space="w"),
        *(paper("moving ws", count, num_moving_ws=count) for count in counts),
        *(ours("moving ws", count, num_moving_ws=count) for count in counts),
    ]
    for who in (PAPER, DEFAULT):
        rows += [
            Part("mask", who, "off", METHODS[who]),
            Part("mask", who, "on", METHODS[who], masked=True),
            Part("way", who, "usual", METHODS[who]),
            Part("way", who, f"{FARTHER:g} times", METHODS[who], longer=FARTHER),
        ]
    return rows


def run(options: Options) -> Section:
    """Drag random faces, with one part changed at a time."""
    generator = load_generator(options)
    detector, perceptual = LandmarkDetector(), build_perceptual(device=options.device)
    kept = Kept(options, "parts", weights_hash(generator))
    trackers: dict[str, Tracker] = {"optical flow, DIS": by_dis}
    missing = ""
    try:
        trackers["optical flow, RAFT"] = load_raft()
    except DownloadFailed as error:
        missing = f" RAFT has no row here: its weights could not be had ({error})."
    rows = parts(generator, trackers)
    if options.quick:
        rows = [row for row in rows if row.who == DEFAULT or row.part in QUICK]
    number, names = options.number(1, 8), DRAGS[:1] if options.quick else DRAGS
    samples: list[list[dict[str, Any]]] = [[] for _ in rows]
    faces = faces_with_landmarks(generator, detector, options.seed + 6000)
    for i, (face, landmarks) in zip(range(number), faces, strict=False):
        for name in names:
            for row, found in zip(rows, samples, strict=True):
                options.say(f"  face {i + 1} of {number}, {name}, {row.label}")
                shape = {name: longer(SHAPES[name], row.longer)}
                for drag in standard_drags(five_of(landmarks), generator.resolution, shape):
                    make = partial(_sample, generator, face, drag, row, perceptual)
                    found.append(kept.sample(f"{i} {name} {row.label}", make))
    return _section(options, perceptual.name, rows, samples, missing)


def longer(shape: Shape, times: float) -> Shape:
    """Return a drag whose ways are so many times as long."""
    handles, circle = shape

    def pulled(handle: Handle) -> Handle:
        x, y = handle.move
        return replace(handle, move=(times * x, times * y))

    return tuple(map(pulled, handles)), circle


def _sample(
    generator: Generator,
    face: RandomFace,
    drag: StandardDrag,
    row: Part,
    perceptual: PerceptualDistance,
) -> dict[str, Any]:
    mask = drag.region if row.masked else None
    made = row.method(generator, face.ws, None, drag.points, mask)
    with torch.no_grad():
        change = float(perceptual(made.picture, face.picture)[0])
    return {
        "measured": vars(measure(face.picture, made, drag.points)),
        "change": change,
        "outside": change_outside(face.picture, made, drag.region),
    }


def _section(
    options: Options,
    distance: str,
    rows: Sequence[Part],
    samples: Sequence[list[dict[str, Any]]],
    missing: str,
) -> Section:
    table: list[tuple[Cell, ...]] = []
    drags: dict[str, list[Measured]] = {}
    for row, found in zip(rows, samples, strict=True):
        measured = [Measured(**each["measured"]) for each in found]
        drags[f"{row.part} {row.who} {row.value}"] = measured
        figures = summary(measured)
        beside = (mean_of(each[key] for each in found) for key in ("change", "outside"))
        shown = (figures[key] for key in SHOWN)
        table.append((row.part, row.who, row.value, *shown, *beside, len(found)))
    names = DRAGS[:1] if options.quick else DRAGS
    short = f" Of the literal method the quick form has {' and '.join(QUICK)} only."
    text = (
        f"Standard drags ({', '.join(names)}) of random faces without a mask, one part of the "
        "method changed at a time. *tracker*: what finds the handles again, in the literal method; "
        "PIPs has no row, for no maintained package or weights of it can be had." + missing + " "
        "*features*: side of the block's features that are dragged; *r1* in pixels of 512; *moving "
        "ws*: counted from the coarsest; *mask*: around the moved part (our default puts back what "
        f"a mask keeps); *way*: {FARTHER:g} times as long leads out of what the network has "
        f"learned. *change*: {distance} to the start. *outside*: mean change of a pixel, of 255, "
        "where none was asked for." + (short if options.quick else ""),
        EXPLAINED,
    )
    header = ("part", "method", "value", *SHOWN, "change", "outside", "n")
    section = Table("One thing changed at a time", header, tuple(table))
    return Section("parts", TITLE, text, (section,), (), {"drags": raw(drags)})
