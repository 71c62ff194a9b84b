"""Locality: what tuning to one photo, or several, does to other faces.

Roich et al., 2021 (PTI, arXiv 2106.05744), sections 3.3 and 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch

from benchmarks.faces import RandomFace, load_generator, random_faces
from benchmarks.inversions import QUICK_TUNING, DevPhoto, Inverter, dev_photos, tuned_copy
from benchmarks.kept import Kept
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from inversion.fidelity import fidelity
from inversion.perceptual import build_perceptual
from inversion.projection import Inversion, ProjectionConfig
from pti.config import TuningConfig
from pti.tuning import PTI, settled

TITLE = "Locality"


@dataclass(frozen=True)
class Setting:
    """Changes to the tuning's settings, and whether the noise that projection found is kept."""

    changes: Mapping[str, float]
    keep_noise: bool = True


FULL: Mapping[int, int] = {1: 6, 3: 2, 5: 2, 10: 1}
"""Photos in one network, and how many such networks the full form tunes."""

SETTINGS: Mapping[str, Setting] = {
    "default": Setting({}),
    "all blocks": Setting({"first_block": 4}),
    "without locality": Setting({"locality_weight": 0.0}),
    "PTI": Setting(
        {
            "locality_weight": 0.0,
            "steps": PTI.steps,
            "learning_rate": PTI.rate,
            "orthogonal_rate": 0.0,
            "l2_weight": 1.0,
            "perceptual_threshold": 0.06,
            "l2_threshold": 4.0,
            "patience": 10_000,
            "first_block": 4,
        },
        keep_noise=False,
    ),
}
"""PTI's are those of its released code: its threshold, noise dropped, no regularization."""


def changed(base: TuningConfig, setting: Setting, quick: bool, distance: str) -> TuningConfig:
    """Return base with a setting's changes; the quick form takes no more steps than it has.

    PTI's threshold is one of LPIPS: by another distance, named so, PTI takes all its steps.
    """
    changes = {k: v for k, v in setting.changes.items() if not (quick and k == "steps")}
    if "perceptual_threshold" in changes and not distance.startswith("lpips"):
        changes["perceptual_threshold"] = 0.0
    return replace(base, **changes)  # type: ignore[arg-type]


def run(options: Options) -> Section:
    """Measure how tuning changes other faces, and what holding them costs in fidelity."""
    generator = load_generator(options)
    perceptual = build_perceptual(device=options.device)
    inverter = Inverter(options, generator, perceptual)
    # Photos in one network: how many networks.
    sizes = {1: 1}
    if not options.quick:
        sizes = {size: options.number(1, number) for size, number in FULL.items()}
    most = max(size * number for size, number in sizes.items())
    photos = list(islice(dev_photos(options.faces, generator.resolution, options.device), most))
    faces = list(islice(random_faces(generator, options.seed + 5000), 20 if options.quick else 100))
    kept = Kept(options, "locality", inverter.weights)
    encoded = inverter.encoder is not None
    base = settled(
        QUICK_TUNING if options.quick else TuningConfig(), generator.resolution, encoded=encoded
    )
    rows: list[tuple[Cell, ...]] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    raw: dict[str, object] = {}
    for size, number in sizes.items():
        for name, setting in SETTINGS.items():
            config = changed(base, setting, options.quick, perceptual.name)
            changes: list[float] = []
            fits: list[dict[str, float]] = []
            for i in range(number):
                options.say(f"  {size} photo(s) in one network, {name}, {i + 1} of {number}")
                group = photos[i * size : (i + 1) * size]
                make = partial(_sample, inverter, group, setting, config, base, faces)
                form = " quickly" if options.quick else ""
                sample = kept.sample(f"{size} {name} {i} {len(faces)}{form}", make)
                fits += sample["fidelity"]
                distances = sample["change_of_other_faces"]
                changes.append(mean_of(distances).mean)
                if number == 1:  # one network: the spread over faces is all there is
                    changes = distances
            change = mean_of(changes)
            fit = {key: mean_of(each[key] for each in fits) for key in ("perceptual", "l2", "psnr")}
            rows.append((size, name, change, *fit.values(), len(faces), number))
            label = f"{size} photo{'s' if size > 1 else ''}"
            panels.setdefault("change of other faces", {}).setdefault(label, {})[name] = change
            panels.setdefault("perceptual distance to the photo", {}).setdefault(label, {})[
                name
            ] = fit["perceptual"]
            raw[f"{size}, {name}"] = {"change_of_other_faces": changes, "fidelity": fits}
    bars(options.results / "locality.png", panels, columns=2)
    text = (
        "*other faces*: perceptual distance between random faces before and after the network was "
        "tuned, with PTI's settings (no regularization, the noise that projection found dropped, "
        "3e-4, squared differences weighed 1, stop at .06 of LPIPS and without LPIPS not at all) "
        "beside ours with and without locality. "
        f"{base.steps} tuning steps at most; PTI asks for {PTI.steps}, which it gets in the full "
        "form only: in the quick form its row is at another fidelity than the others. "
        "The other columns are the fidelity to the photo. The "
        "standard error is over networks, or over the faces where there is one network only. "
        "PTI's paper has .03 to .05 with regularization. "
        f"The distance is {perceptual.name}.",
    )
    header = ("photos", "tuning", "other faces", "perceptual", "L2", "PSNR", "faces", "networks")
    return Section(
        "locality",
        TITLE,
        text,
        (Table("Side effects and fidelity", header, tuple(rows)),),
        ("locality.png",),
        raw,
    )


def _sample(
    inverter: Inverter,
    group: Sequence[DevPhoto],
    setting: Setting,
    config: TuningConfig,
    base: TuningConfig,
    faces: Sequence[RandomFace],
) -> dict[str, Any]:
    """Tune to some photos at once: how near each is, and how far each other face went."""
    inversions = [inverter.invert(photo, ProjectionConfig())[0] for photo in group]
    if not setting.keep_noise:
        inversions = [Inversion(each.w_pivot, {}) for each in inversions]
    perceptual = inverter.perceptual
    if len(group) == 1 and not setting.changes:
        tuned = inverter.tune(group[0], ProjectionConfig(), base).generator
    else:
        targets = [photo.target for photo in group]
        generator = inverter.generator
        tuned = tuned_copy(generator, targets, inversions, perceptual, config, inverter.seed)
    with torch.no_grad():
        pictures = [tuned.synthesis(each.w_pivot, each.noise_consts) for each in inversions]
        distances = [float(perceptual(tuned.synthesis(face.ws), face.picture)[0]) for face in faces]
    fits = [
        fidelity(picture, photo.target, perceptual)
        for picture, photo in zip(pictures, group, strict=True)
    ]
    return {"fidelity": fits, "change_of_other_faces": distances}
