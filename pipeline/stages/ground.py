"""What a drag stands on: a network, latents and noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.encoder_weights import encoder_for
from pipeline.disk.artifact import Artifact, ArtifactCorrupt, Request
from pipeline.machine.bench import Bench
from pipeline.stages.artifact_files import (
    base_generator,
    read_inversion,
    read_target,
    read_tuned,
)
from stylegan2.generator import Generator, NoiseConsts


@dataclass(frozen=True)
class Ground:
    """A network and where in it a photo lies: ws [1, num_ws, w_dim]; noise None is its own."""

    generator: Generator
    ws: Tensor
    noise_consts: NoiseConsts | None

    @torch.no_grad()
    def render(self, ws: Tensor) -> Tensor:
        """Render ws in full: [1, 3, H, W]."""
        picture: Tensor = self.generator.synthesis(ws, self.noise_consts)
        return picture


def read_ground(request: Request, inputs: Mapping[str, Artifact], bench: Bench) -> Ground:
    """Load what a drag's request names.

    With inputs `invert` and `tune` it is the tuned network at what projection found; with `invert`
    alone that in the network as it is; with neither, where the network's encoder sees the photo.
    """
    if "tune" in inputs:
        generator = read_tuned(bench, inputs["invert"], inputs["tune"])
    elif "invert" in inputs:
        generator = base_generator(bench, inputs["invert"])
    else:
        generator = bench.generator(request.hints["network"], request.config["weights"])
        encoder = encoder_for(request.config["weights"])
        if encoder is None:
            raise ArtifactCorrupt(inputs["align"].folder, "its network has no encoder any more")
        target = read_target(inputs["align"], "cpu")
        return Ground(generator, encoder.ws(target, generator.num_ws).to(bench.device), None)
    inversion = read_inversion(inputs["invert"], bench.device)
    return Ground(generator, inversion.w_pivot, inversion.noise_consts)
