"""Directions of a network, from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.jobs.fit_directions import Fitting, Method
from pipeline.jobs.fit_directions import fit_directions as job
from pipeline.jobs.text_directions import Words
from pipeline.jobs.text_directions import text_direction as text_job
from pipeline.machine.bench import Bench
from pipeline.progress import Event, follow
from stylegan2.directions import Direction
from stylegan2.formats.direction_files import write_directions


def fit_directions(
    network: str | Path,
    path: str | Path,
    method: Method = "pca",
    *,
    count: int = Fitting.count,
    layers: tuple[int, int] | None = None,
    samples: int = Fitting.samples,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[Event], object] | None = None,
) -> dict[str, Direction]:
    """Find directions of a network and write them to path, for `Photo.apply(directions=path)`.

    method is pca, factors or measures; count is for the first two, samples for the third. layers
    is from which latent on and before which. Returns them by name. Raises SpectrumFlat,
    DirectionsInvalid, WeightsInvalid.
    """

    def tell(event: Event) -> None:
        if progress is not None:
            progress(event)

    bench = Bench(device, report=tell)
    asked = Fitting(method, count, layers, samples, seed)
    identity, found = follow(job(str(network), asked, bench), tell)
    write_directions(Path(path), found, identity.weights)
    return {each.name: each for each in found}


def text_direction(
    network: str | Path,
    neutral: str,
    target: str,
    path: str | Path,
    *,
    name: str | None = None,
    beta: float = Words.beta,
    alpha: float = Words.alpha,
    samples: int = Words.samples,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[Event], object] | None = None,
) -> Direction:
    """Find the direction of a network's styles for words (StyleCLIP), and write it to path.

    It turns what neutral says into what target says; beta, alpha and samples are as for
    `realdrag directions text`. Needs the extra `text`. Raises TextModelUnavailable,
    DirectionsInvalid, WeightsInvalid.
    """

    def tell(event: Event) -> None:
        if progress is not None:
            progress(event)

    bench = Bench(device, report=tell)
    asked = Words(neutral, target, name, beta, alpha, samples, seed)
    identity, found = follow(text_job(str(network), asked, bench), tell)
    write_directions(Path(path), [found], identity.weights)
    return found
