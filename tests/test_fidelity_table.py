"""The card's table: what projection and tuning reach from each start."""

from __future__ import annotations

import torch

from inversion.perceptual import OfflineDistance
from pti.config import TuningConfig
from stylegan2.checkpoint import load_generator
from stylegan2.embedded import embedded_path
from stylegan2.latents import w_statistics
from tests.factories import tiny_generator
from tools.fidelity_table import fidelity_table, markdown, start_latents


def figures(perceptual: float, psnr: float) -> dict[str, float]:
    return {"perceptual": perceptual, "l2": 0.1, "psnr": psnr, "ms_ssim": 0.9}


def test_the_table_shows_means_and_the_worst_photo() -> None:
    rows = {("mean", "tuned"): [figures(0.1, 30.0), figures(0.3, 28.0)]}
    last = markdown(rows, "realdrag-v2").splitlines()[-1]
    assert last == "| mean | tuned | 0.200 | 29.0 | 28.0 | 0.900 |"


def test_every_start_and_stage_is_measured() -> None:
    generator = tiny_generator(16)
    targets = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    table = fidelity_table(generator, targets, OfflineDistance(), 3, TuningConfig(steps=2))
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in table.splitlines()[2:]]
    starts = ("nearest", "mean")  # only the embedded generator has an encoder
    stages = ("start", "projected", "tuned")
    assert rows == [[start, stage] for start in starts for stage in stages]


def test_the_embedded_generator_starts_from_its_encoder_too() -> None:
    generator = load_generator(embedded_path()).eval().requires_grad_(False)
    targets = torch.zeros(2, 3, 128, 128)
    statistics = w_statistics(generator, samples=100)
    starts = start_latents(generator, targets, OfflineDistance(), statistics, samples=4)
    assert list(starts) == ["encoder", "nearest", "mean"]
    assert all(w.shape == (2, generator.w_dim) for w in starts.values())
