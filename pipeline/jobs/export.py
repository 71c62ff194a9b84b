"""What a workspace made, for other tools: a tuned network, a latent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.disk.storage import writing
from pipeline.disk.workspace import Workspace
from pipeline.jobs.obtain import current
from pipeline.machine.bench import Bench
from pipeline.progress import Job

if TYPE_CHECKING:
    from stylegan2.formats.export import ExportLayout


def export_tuned(
    workspace: Workspace, target: Path, bench: Bench, layout: ExportLayout
) -> Job[None]:
    """Write the tuned generator with the photo's noise in it, as safetensors.

    Raises StageMissing when nothing was tuned yet.
    """
    from pipeline.stages.artifact_files import read_inversion, read_tuned
    from stylegan2.formats.export import export_network

    with (yield from workspace.lock()):
        tune = yield from current(workspace, "tune", bench)
        invert = yield from current(workspace, "invert", bench)
        generator = read_tuned(bench, invert, tune)
        inversion = read_inversion(invert, bench.device)
    for name, noise in generator.synthesis.noise_consts().items():
        noise.copy_(inversion.noise_consts[name])
    with writing(target.absolute().parent):
        export_network(generator, target, layout)


def export_latent(workspace: Workspace, target: Path, bench: Bench, *, edited: bool) -> Job[None]:
    """Write w_pivot, or the last drag's ws, as the array "w" [1, num_ws, w_dim] of an .npz file.

    Raises StageMissing when the stage behind it has not run yet.
    """
    from pipeline.stages.artifact_files import DRAG, LATENT, read_tensors
    from stylegan2.formats.latents import write_latents

    with (yield from workspace.lock()):
        artifact = yield from current(workspace, "drag" if edited else "invert", bench)
        tensors = read_tensors(artifact, DRAG if edited else LATENT)
    with writing(target.absolute().parent):
        write_latents(tensors["ws" if edited else "w_pivot"], target)
