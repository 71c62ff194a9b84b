"""Where projections with a network start, kept between photos: sampled faces, statistics of W."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch

from inversion.nearest import StartTable, build_start_table
from pipeline.disk.artifact import (
    Artifact,
    ArtifactCorrupt,
    Request,
    commit,
    open_draft,
    read_artifact,
    set_aside,
)
from pipeline.progress import Job, Notice, Step
from pipeline.stages.artifact_files import read_tensors, write_tensors
from stylegan2.environment import cache_folder
from stylegan2.generator import Generator
from stylegan2.latents import WStatistics, w_statistics

VERSION = 1
SEED = 1
CHUNK = 50
"""Faces rendered between two signs of life."""

TABLE = "starts.safetensors"


@dataclass(frozen=True)
class Starts:
    """Statistics of W and the sampled faces; no table when starting from the mean."""

    statistics: WStatistics
    table: StartTable | None


def read_starts(generator: Generator, weights: str, samples: int) -> Job[Starts]:
    """Return a network's starts from the cache folder, or make and keep them."""
    device = generator.mapping.w_avg.device
    if samples == 0:
        return Starts(w_statistics(generator), None)
    config = {"weights": weights, "samples": samples, "seed": SEED, "device": device.type}
    request = Request("starts", VERSION, config, {})
    root = cache_folder() / "starts"
    folder = root / request.folder_name
    if folder.exists():
        try:
            return _from(read_artifact(folder), device)
        except ArtifactCorrupt as error:
            yield Notice(f"{error}; it is made again")
            with suppress(OSError):
                set_aside(folder, root / "damaged")
    statistics = w_statistics(generator)
    table = yield from _table(generator, samples)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with open_draft(root, request) as draft:
            tensors = {"w": table.w, "pictures": table.pictures, "mean": statistics.mean}
            write_tensors(draft, TABLE, {**tensors, "std": torch.tensor(statistics.std).double()})
            commit(draft, request, {})
    except OSError as error:
        if not folder.exists():  # else another process was faster
            yield Notice(f"the start faces could not be kept in {root}: {error.strerror}")
    return Starts(statistics, table)


def _table(generator: Generator, samples: int) -> Job[StartTable]:
    rng = torch.Generator().manual_seed(SEED)
    chunks = []
    for done in range(0, samples, CHUNK):
        chunks.append(build_start_table(generator, min(CHUNK, samples - done), rng))
        yield Step("starts", min(done + CHUNK, samples), samples, {})
    return StartTable(
        torch.cat([chunk.w for chunk in chunks]), torch.cat([chunk.pictures for chunk in chunks])
    )


def _from(artifact: Artifact, device: torch.device) -> Starts:
    tensors = read_tensors(artifact, TABLE)
    mean = tensors["mean"].to(device)
    statistics = WStatistics(mean, float(tensors["std"]))
    return Starts(statistics, StartTable(tensors["w"], tensors["pictures"]))
