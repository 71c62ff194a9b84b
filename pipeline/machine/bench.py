"""Networks and distances that a command has loaded: each once, on one device."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from inversion.config import OFFLINE_PERCEPTUAL, PERCEPTUAL_CHOICES
from pipeline.machine.devices import pick_device, versions
from pipeline.machine.memory import keep_freed_memory
from pipeline.progress import Notice, Sink, Step
from stylegan2.embedded import embedded_network

if TYPE_CHECKING:
    from pathlib import Path

    from inversion.perceptual import PerceptualDistance
    from inversion.style_encoder import StyleEncoder
    from stylegan2.arrays import Float32Array, UInt8Image
    from stylegan2.generator import Generator


@dataclass(frozen=True)
class Preview:
    """What a running stage has right now; `picture` renders it as uint8 [H, W, 3] when called.

    A drag alone has the rest: handles, xy in pixels of the picture, distances, and how the photo
    moves with that picture once it is rendered, as `pipeline.picture.motion.Motion` has it.
    """

    stage: str
    step: int
    picture: Callable[[], UInt8Image]
    handles: Sequence[tuple[float, float]] = ()
    distances: Sequence[float] = ()
    way: Callable[[UInt8Image], Float32Array] | None = None


class Bench:
    """What stages work with: a device, loaded networks, and whether the user wants to stop.

    Nothing is loaded before it is asked for, so that a run of cache hits never loads torch.
    `stop` is an event that a drag looks at after every step; report takes the progress of
    downloads; watch takes a Preview after every step, which costs nothing unless it renders it.
    """

    def __init__(
        self,
        device: str = "auto",
        report: Sink | None = None,
        watch: Callable[[Preview], None] | None = None,
    ) -> None:
        self._choice = device
        self._report = report
        self._watch = watch
        self._generators: dict[str, Generator] = {}
        self._hashes: dict[str, str] = {}
        self._distances: dict[str, PerceptualDistance] = {}
        self._downloaded = ("", -1)
        self._loading = threading.Lock()
        self.stop = threading.Event()

    @cached_property
    def device(self) -> str:
        """The device in use: cpu, cuda or mps. Raises DeviceUnavailable."""
        device = pick_device(self._choice)
        if device == "cpu":
            keep_freed_memory()
        return device

    def notice(self, text: str) -> None:
        """Tell the user something that stops nothing."""
        if self._report is not None:
            self._report(Notice(text))

    def show(self, preview: Preview) -> None:
        """Offer what a running stage has right now to whoever watches."""
        if self._watch is not None:
            self._watch(preview)

    def downloading(self, name: str, done: int, total: int | None) -> None:
        """Tell how far a file's download is, in bytes: a notice first, then steps of a megabyte."""
        if self._report is None:
            return
        done, total = done // 1_000_000, (total or 0) // 1_000_000
        if name != self._downloaded[0]:
            size = f" ({total} MB)" if total else ""
            self._report(Notice(f"downloading {name}{size}, once; it can be cut off and continued"))
        if (name, done) != self._downloaded:
            self._downloaded = name, done
            self._report(Step("download", done, max(total, done, 1), {}))

    def network_path(self, name: str) -> Path:
        """Return the file of a network or of a class of it, downloading a known one if need be."""
        from stylegan2 import zoo
        from stylegan2.network_names import split_class

        return zoo.resolve(split_class(name)[0], on_progress=self.downloading)

    def generator(self, name: str, weights: str | None = None) -> Generator:
        """Load a network by name or path, of a class of it where # and a number follow.

        Raises WeightsInvalid when its hash is not `weights`. A workspace of an earlier version
        calls another network embedded: its weights tell which.
        """
        from stylegan2.checkpoint import WeightsInvalid, weights_hash
        from stylegan2.environment import cache_folder
        from stylegan2.formats.convert import load_network
        from stylegan2.network_names import split_class

        if (embedded := embedded_network(name, weights)) is not None:
            name = embedded.name
        with self._loading:
            if name not in self._generators:
                generator = load_network(
                    self.network_path(name),
                    self.device,
                    cache=cache_folder() / "converted",
                    on_notice=self.notice,
                    number=split_class(name)[1],
                )
                self._hashes[name] = weights_hash(generator)
                self._generators[name] = generator
        if weights is not None and self._hashes[name] != weights:
            raise WeightsInvalid(
                f"the network {name} is not the one that this workspace was made with: its weights "
                "have changed. Put the old file back, or run invert again"
            )
        return self._generators[name]

    def style_encoder(self, name: str) -> StyleEncoder | None:
        """Return the encoder in a network's file, None where there is none."""
        from inversion.style_encoder import read_style_encoder

        return read_style_encoder(self.network_path(name))

    def perceptual(self, choice: str) -> PerceptualDistance:
        """Build a perceptual distance by choice or by the name it was recorded under, once each.

        Raises PerceptualUnavailable.
        """
        from inversion.perceptual import (
            PerceptualUnavailable,
            build_perceptual,
            resolve_perceptual,
        )

        choice = "offline" if choice == OFFLINE_PERCEPTUAL else choice
        if choice not in PERCEPTUAL_CHOICES:
            raise PerceptualUnavailable(
                f"this version of realdrag no longer has the perceptual distance {choice}: "
                "run invert again"
            )
        name = resolve_perceptual(choice, self.downloading)
        if name not in self._distances:
            self._distances[name] = build_perceptual(name, self.device, self.downloading)
        return self._distances[name]

    def record(self) -> dict[str, Any]:
        """Return what a manifest keeps about this machine and its software."""
        import torch

        return {
            "machine": {
                "device": self.device,
                "threads": torch.get_num_threads(),
                "cpus": os.cpu_count(),
                "system": platform.platform(),
            },
            "software": {"python": platform.python_version(), **versions()},
        }
