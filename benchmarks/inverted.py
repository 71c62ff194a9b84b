"""How near pictures come to a photo, way by way: the first table of PTI (arXiv 2106.05744).

Identity is looked at by a network of others, where that is done: benchmarks/mesh_and_identity.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.inversions import QUICK_TUNING, DevPhoto, Inverter, tuned_copy
from benchmarks.kept import Kept
from benchmarks.locality import SETTINGS, changed
from benchmarks.section import Cell, Table, mean_of
from inversion.fidelity import fidelity
from inversion.projection import Inversion, ProjectionConfig
from pti.config import TuningConfig
from pti.tuning import settled
from stylegan2.generator import Generator
from stylegan2.images import to_uint8

PHOTO = "photo"
PROJECTION_STEPS = 100

PAPER_FIGURES = (
    "PTI's own, on CelebA-HQ at 1024: LPIPS / MSE / identity of e4e .4 / .05 / .75, W .4 / .08 / "
    ".80, W+ .34 / .043 / .85, PTI .09 / .014 / .90."
)

WAYS: Mapping[str, str] = {
    "encoder": "what the encoder in the package finds in W+, by itself",
    "W": f"{PROJECTION_STEPS} steps of projection into W",
    "W+": f"{PROJECTION_STEPS} steps of projection into W+",
    "PTI": "W, then tuning with PTI's settings as in the section on locality",
    "default": "realdrag's own settings",
}


def fidelity_table(
    kept: Kept, inverter: Inverter, photos: Sequence[DevPhoto], quick: bool, folder: Path
) -> tuple[Table, tuple[str, ...], dict[str, list[dict[str, float]]]]:
    """Measure every way on every photo: the table, its words, and each figure."""
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    ways = [way for way in WAYS if way != "encoder" or inverter.encoder is not None]
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for photo in photos:
        _save(photo.target, folder, f"{photo.name}_{PHOTO}")
        for way in ways:
            make = partial(_sample, inverter, photo, way, quick, folder)
            form = " quickly" if quick else ""
            figures[way].append(kept.sample(f"{photo.name} {way}{form}", make))
    apart = _identities(folder / "measured.npz")
    rows: list[tuple[Cell, ...]] = []
    for way, found in figures.items():
        names = [photo.name for photo in photos if f"{photo.name}_{way}" in apart]
        known = mean_of(apart[f"{name}_{way}"] for name in names)
        keys = ("perceptual", "l2", "psnr", "ms_ssim")
        rows.append(
            (way, *(mean_of(each[key] for each in found) for key in keys), known, len(found))
        )
    words = (
        "*To the photo*, without any drag: " + "; ".join(f"*{way}*: {WAYS[way]}" for way in ways)
        + ". Fidelity as below. *identity*: distance of dlib's embeddings to the photo's (its "
        "threshold for one person is .6; - where nobody has looked at the crops yet: "
        "benchmarks/mesh_and_identity.py).",
        PAPER_FIGURES,
    )  # fmt: skip
    header = ("way", "perceptual", "L2", "PSNR", "MS-SSIM", "identity", "photos")
    return Table("To the photo", header, tuple(rows)), words, figures


def _sample(
    inverter: Inverter, photo: DevPhoto, way: str, quick: bool, folder: Path
) -> dict[str, float]:
    generator, inversion = _made(inverter, photo, way, quick)
    with torch.no_grad():
        picture = generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    _save(picture, folder, f"{photo.name}_{way}")
    return fidelity(picture, photo.target, inverter.perceptual)


def _made(
    inverter: Inverter, photo: DevPhoto, way: str, quick: bool
) -> tuple[Generator, Inversion]:
    ours = QUICK_TUNING if quick else TuningConfig()
    if way == "default":
        tuned = inverter.tune(photo, ProjectionConfig(), ours)
        return tuned.generator, tuned.inversion
    if way == "encoder":
        config = ProjectionConfig()
    else:
        config = ProjectionConfig(steps=PROJECTION_STEPS, space="w+" if way == "W+" else "w")
    inversion, _ = inverter.invert(photo, config)
    if way != "PTI":
        return inverter.generator, inversion
    pivot = Inversion(inversion.w_pivot, {})
    base = settled(ours, inverter.generator.resolution, encoded=inverter.encoder is not None)
    setting = changed(base, SETTINGS["PTI"], quick, inverter.perceptual.name)
    tuned_by_pti = tuned_copy(
        inverter.generator, [photo.target], [pivot], inverter.perceptual, setting, inverter.seed
    )
    return tuned_by_pti, pivot


def _save(picture: torch.Tensor, folder: Path, name: str) -> None:
    Image.fromarray(to_uint8(picture)).save(folder / "crops" / f"{name}.png")


def _identities(path: Path) -> dict[str, float]:
    """Return how far each crop's embedding is from its photo's, of those that were looked at."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        known = dict(zip(stored["name"].tolist(), stored["embedding"], strict=True))
    return {
        name: float(np.linalg.norm(embedding - known[of]))
        for name, embedding in known.items()
        if (of := f"{name.rsplit('_', 1)[0]}_{PHOTO}") in known and of != name
    }
