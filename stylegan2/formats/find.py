"""Where in a file the generator is: whatever the entry is called, and however deep it lies.

Training codes store state dicts under many names (g_ema, G_ema, params_ema, generator, state_dict),
behind prefixes (module., decoder.) and in lists; a generator is known by the endings of its
tensors' names, and an average of the training is preferred to a snapshot of it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layout_nvidia import from_nvidia_names, from_persistent
from stylegan2.formats.layout_rosinality import from_rosinality
from stylegan2.formats.layout_tensorflow import from_tensorflow
from stylegan2.formats.layouts import MAX_PARTS, ForeignWeights, Stored, UnsupportedNetwork
from stylegan2.formats.stored import Record

MAX_DEPTH = 5
"""Levels of dictionaries and lists that are looked into."""

MAX_CANDIDATES = 100
"""Generators in one file; each takes a look at all its names."""

_ANCHORS = {
    "nvidia": re.compile(r"synthesis\.(b4\.const|input\.freqs)$"),
    "rosinality": re.compile(r"conv1\.conv\.modulation\.weight$"),
}
"""A tensor that each layout has once; what stands before it is the prefix of all its names."""

_AVERAGE = re.compile(
    r"(?i:ema(?![a-z])|smooth|average|avg(?![a-z])|shadow|g_running)|(^|\.)Gs(?![a-z])"
)
"""g_ema, ema_model, generator_smooth, netG_avg, G_average, g_running, TensorFlow's Gs."""

_PARTS = {
    "nvidia": ("synthesis.", "mapping."),
    "rosinality": ("style.", "input.", "conv1.", "to_rgb1.", "convs.", "to_rgbs.", "noises."),
}
"""How the names go on after the prefix; a state dict may hold other networks, too."""


@dataclass(frozen=True)
class Candidate:
    """A generator in a file: where, of which layout, its parts, and the mean latent beside it."""

    place: str
    layout: str
    parts: Record | Mapping[str, object]
    latent_avg: object = None

    @property
    def is_average(self) -> bool:
        """Tell whether its place is named as training codes name the moving average."""
        return re.search(_AVERAGE, self.place) is not None


def find_generator(objects: object, limit: int) -> ForeignWeights:
    """Find the generator in what a file holds; limit bounds the bytes of its tensors together.

    A notice tells which one was taken where the file's kind leaves a choice. Raises
    UnsupportedNetwork when there is none, and what reading it raises.
    """
    match objects:
        case (Record(kind="Network"), Record(kind="Network"), Record(kind="Network") as averaged):
            return from_tensorflow(averaged, limit)
        case {"G_ema": Record(kind="Generator") as averaged}:
            return from_persistent(averaged, "StyleGAN2-ADA or StyleGAN3-repo pickle", limit)
    candidates = list(islice(_candidates(objects), MAX_CANDIDATES + 1))
    if len(candidates) > MAX_CANDIDATES:
        raise WeightsInvalid(f"the file holds more than {MAX_CANDIDATES} generators; refused")
    if not candidates:
        raise UnsupportedNetwork(
            "no StyleGAN2 generator in this file; known are StyleGAN2-ADA and StyleGAN3-repo .pkl, "
            "legacy TensorFlow .pkl, rosinality, pSp, e4e and PTI .pt, and safetensors"
        )
    chosen = next((each for each in candidates if each.is_average), candidates[0])
    weights = _read(chosen, limit)
    if len(candidates) == 1:
        return weights
    others = ", ".join(each.place for each in candidates if each is not chosen)
    notice = f"the file holds {len(candidates)} generators; {chosen.place} is taken, not {others}"
    return dataclasses.replace(weights, notices=(notice, *weights.notices))


def _read(found: Candidate, limit: int) -> ForeignWeights:
    match found:
        case Candidate(parts=Record(kind="Generator") as record):
            return from_persistent(record, "PTI's pickled module", limit)
        case Candidate(parts=Record() as record):
            return from_tensorflow(record, limit)
        case Candidate(layout="nvidia", parts=Mapping() as tensors):
            return from_nvidia_names(tensors, "NVIDIA state dict", limit)
        case Candidate(parts=Mapping() as tensors):
            return from_rosinality(tensors, found.latent_avg, limit)
    raise AssertionError("every candidate is a record or a mapping")


def _candidates(root: object) -> Iterator[Candidate]:
    """Yield every generator, the outermost first."""
    queue: list[tuple[tuple[str, ...], object, object]] = [((), root, None)]
    seen: set[int] = set()
    for path, thing, latent_avg in queue:  # grows while it is read; a file may hold loops
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        place = ".".join(path) or "the file itself"
        if isinstance(thing, Record):
            if thing.kind in ("Generator", "Network"):
                yield Candidate(place, thing.kind, thing)
            continue
        if isinstance(thing, dict):
            latent_avg = thing.get("latent_avg", latent_avg)
            tensors = {name: part for name, part in thing.items() if _is_tensor(name, part)}
            for prefix, layout in _prefixes(tensors):
                starts = tuple(f"{prefix}{part}" for part in _PARTS[layout])
                own = {
                    n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(starts)
                }
                where = ".".join([*path, *([prefix.rstrip(".")] if prefix else [])])
                yield Candidate(where or place, layout, own, latent_avg)
            children = [(str(name), part) for name, part in thing.items()]
        elif isinstance(thing, list | tuple):
            children = [(f"[{number}]", part) for number, part in enumerate(thing)]
        else:
            continue
        if len(path) < MAX_DEPTH:
            queue += [
                ((*path, name), part, latent_avg)
                for name, part in children
                if isinstance(part, dict | list | tuple | Record) and len(queue) < MAX_PARTS
            ]


def _is_tensor(name: object, part: object) -> bool:
    return isinstance(name, str) and isinstance(part, Stored)


def _prefixes(tensors: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what stands before the names of each generator among tensors, and its layout."""
    for layout, anchor in _ANCHORS.items():
        for name in tensors:
            if found := anchor.search(name):
                yield name[: found.start()], layout
