"""What networks that had no part in it see of edits by named controls, kept photo by photo."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.controls_edits import NETWORK_SIDE, Edit
from benchmarks.section import SectionSkipped
from inversion.faces.irises import within
from pipeline.controls.measures import eye_measures, measures
from pipeline.controls.table import CONTROLS, SYMMETRICAL, Control
from pipeline.disk.storage import replace_file
from pipeline.jobs.seen_faces import SeenFace, see_face
from stylegan2.arrays import Float64Array, UInt8Image

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

MESH_IRISES = ((slice(36, 42), 468), (slice(42, 48), 473))
"""Each eye of those 68, and the mesh's point amid its iris."""


@dataclass(frozen=True)
class Seen:
    """What was measured of an edit. reached and others are shares of what was asked.

    by_landmarks is None for a gaze whose irises our own finder does not see afterwards.
    """

    edit: Edit
    by_mesh: float
    by_landmarks: float | None
    others: float
    cheeks: float
    identity: float


@dataclass(frozen=True)
class Looked:
    """What `benchmarks/mesh_and_identity.py` found, by the crop's name."""

    meshes: Mapping[str, Float64Array]
    embeddings: Mapping[str, Float64Array]

    @classmethod
    def read(cls, folder: Path) -> Looked:
        """Read a folder's. Raises SectionSkipped where there is nothing."""
        stored = folder / "measured.npz"
        if not stored.is_file():
            raise SectionSkipped(
                f"the crops in {folder} are to be looked at by networks of others: see "
                "benchmarks/mesh_and_identity.py; then run this again"
            )
        with np.load(stored, allow_pickle=False) as read:
            names = read["name"].tolist()
            meshes, embeddings = read["mesh"], read["embedding"]
        return cls(dict(zip(names, meshes, strict=True)), dict(zip(names, embeddings, strict=True)))


def see(edits: Sequence[Edit], looked: Looked, folder: Path) -> list[Seen]:
    """Measure edits; what an earlier run measured is read.

    Faces in which the mesh is not found count for nothing. Raises SectionSkipped for crops that
    were not looked at.
    """
    if missing := [each.crop for each in edits if each.crop not in looked.meshes]:
        raise SectionSkipped(f"{len(missing)} crops have not been looked at, {missing[0]} first")
    found: list[Seen] = []
    for photo in photos_of(edits):
        own = [each for each in edits if each.photo == photo]
        kept = folder / f"{photo}.seen.json"
        stored: dict[str, Seen] = {}
        if kept.is_file():
            for plain in json.loads(kept.read_text(encoding="utf-8")):
                seen = Seen(**{**plain, "edit": Edit(**plain["edit"])})
                stored[seen.edit.crop] = seen
        fresh = [each for each in own if getattr(stored.get(each.crop), "edit", None) != each]
        stored |= {each.edit.crop: each for each in _seen(fresh, looked, folder / "crops")}
        chosen = [stored[each.crop] for each in own if each.crop in stored]
        plain_rows = [asdict(each) for each in stored.values()]
        replace_file(kept, json.dumps(plain_rows, indent=1).encode())
        found += chosen
    return found


def photos_of(edits: Iterable[Edit]) -> list[str]:
    """Return the names of the photos, in their order."""
    return list(dict.fromkeys(each.photo for each in edits))


def skin_angle(crops: Path, name: str, looked: Looked) -> float:
    """Return the individual typology angle of a photo's cheeks (Chardon et al., 1991): degrees."""
    pixels = read_crop(crops, name)
    colour = cheeks(pixels, looked.meshes[name])[None, None].astype(np.float32) / 255
    lightness, _, yellow = np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2LAB))[0, 0].tolist()
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def read_crop(crops: Path, name: str) -> UInt8Image:
    """Read a crop, uint8 [S, S, 3]."""
    return np.asarray(Image.open(crops / f"{name}.png").convert("RGB"))


def _seen(edits: Sequence[Edit], looked: Looked, crops: Path) -> Iterator[Seen]:
    if not edits:
        return
    photo = edits[0].photo
    mesh, whole = looked.meshes[photo], read_crop(crops, photo)
    face = see_face(_small(whole))
    for edit in edits:
        moved_mesh = looked.meshes[edit.crop]
        if not (np.isfinite(mesh).all() and np.isfinite(moved_mesh).all()):
            continue
        pixels = read_crop(crops, edit.crop)
        by_mesh, others = reached(edit, measures_of_mesh(mesh), measures_of_mesh(moved_mesh))
        ours = [measures_of_face(each) for each in (face, see_face(_small(pixels)))]
        own = CONTROLS[edit.control].measure
        by_landmarks = None
        if all(own in each for each in ours):
            by_landmarks, _ = reached(edit, *ours)
        drift = float(np.abs(cheeks(pixels, moved_mesh) - cheeks(whole, mesh)).mean())
        apart = looked.embeddings[edit.crop] - looked.embeddings[photo]
        identity = float(np.linalg.norm(apart))
        yield Seen(edit, by_mesh, by_landmarks, others, drift, identity)


def measures_of_mesh(mesh: Float64Array) -> dict[str, float]:
    """Measure a face by its mesh: the 68 of its points, and its irises."""
    points = mesh[list(MESH68)]
    places = [within(points[eye], mesh[iris]) for eye, iris in MESH_IRISES]
    along, down = np.mean(places, axis=0).tolist()
    return {**measures(points), "gaze": along, "gaze height": -down}


def measures_of_face(face: SeenFace) -> dict[str, float]:
    """Measure a face by our own networks; without a gaze where no irises are seen."""
    return {**measures(face.points), **(eye_measures(face.eyes) if face.eyes else {})}


def reached(
    edit: Edit, first: Mapping[str, float], last: Mapping[str, float]
) -> tuple[float, float]:
    """Return how much of what was asked the measure did, and what others did beside that.

    first and last are the measures before and after. Others are those of the other parts, each over
    what its own control does at 1.
    """
    own = CONTROLS[edit.control]

    def change(control: Control) -> float:
        moved = last[control.measure] - first[control.measure]
        return moved / (control.rise if moved > 0 else control.fall)

    flat = {"pose", "shape"}
    others = [
        abs(change(each))
        for each in SYMMETRICAL
        if each.part != own.part and each.looks is None and not {each.part, own.part} <= flat
    ]
    return change(own) / edit.taken, float(np.mean(others)) / abs(edit.taken)


def cheeks(pixels: UInt8Image, mesh: Float64Array) -> Float64Array:
    """Return the mean colour [3] around the cheeks' points."""
    eyes = np.hypot(*(mesh[[33, 133]].mean(axis=0) - mesh[[362, 263]].mean(axis=0)))
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for x, y in np.rint(mesh[list(CHEEKS)]).astype(int).tolist():
        cv2.circle(mask, (x, y), max(1, round(CHEEK_RADIUS * float(eyes))), (255.0,), -1)
    return np.asarray(pixels[mask > 0].mean(axis=0), np.float64)


def _small(pixels: UInt8Image) -> UInt8Image:
    side = (NETWORK_SIDE, NETWORK_SIDE)
    return np.asarray(cv2.resize(pixels, side, interpolation=cv2.INTER_AREA), np.uint8)
