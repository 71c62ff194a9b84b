"""bf16 where it is faster: which blocks, how near the result is, and that manifests say so."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
import torch

from inversion.perceptual import OfflineDistance
from inversion.projection import Inversion, ProjectionConfig, project, settled
from pipeline.disk.artifact import read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.machine.precision import bf16_from, has_fast_bf16
from pti.config import TuningConfig
from pti.tuning import tune
from stylegan2.generator import Generator
from stylegan2.latents import to_ws, w_statistics
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import Case

CONFIG = TuningConfig(
    steps=40, learning_rate=3e-3, locality_pool=4, patience=10_000, l2_threshold=0, first_block=4
)


def a_picture(generator: Generator, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    w = generator.mapping(torch.randn(1, generator.config.z_dim, generator=rng))
    ws = to_ws(w, generator.num_ws)
    return ws, generator.synthesis(ws)


@pytest.mark.parametrize(
    ("precision", "resolution", "flags", "expected"),
    [
        ("auto", 1024, "fpu avx512_bf16 sse", 64),
        ("auto", 512, "amx_bf16", 64),
        ("auto", 256, "amx_bf16", None),
        ("auto", 1024, "avx512f amx_tile", None),
        ("fp32", 1024, "amx_bf16", None),
        ("bf16", 128, "", 64),
        ("bf16", 32, "amx_bf16", None),
    ],
)
def test_auto_takes_bf16_for_large_networks_where_the_processor_has_it(
    precision: str,
    resolution: int,
    flags: str,
    expected: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name\t: A processor\nflags\t\t: {flags}\n")
    monkeypatch.setattr(
        "pipeline.machine.precision.has_fast_bf16", lambda device: has_fast_bf16(device, cpuinfo)
    )
    assert bf16_from(precision, "cpu", resolution) == expected


def test_without_a_list_of_the_processors_flags_auto_stays_with_fp32(tmp_path: Path) -> None:
    assert not has_fast_bf16("cpu", tmp_path / "none")
    assert not has_fast_bf16("mps")


def test_only_blocks_from_that_size_on_compute_in_bf16() -> None:
    generator = tiny_generator(32)
    ws, exact = a_picture(generator, 1)
    outputs = {each.resolution: each for each in generator.synthesis.run(ws, bf16_from=16)}
    same = {each.resolution: each for each in generator.synthesis.run(ws)}
    assert torch.equal(outputs[8].features, same[8].features)
    assert outputs[16].features.dtype == outputs[32].features.dtype == torch.bfloat16
    picture = generator.synthesis(ws, bf16_from=16)
    assert picture.dtype == torch.float32
    difference = (picture - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 0 < float(difference) < 0.02


def test_tuning_in_bf16_comes_as_near_and_keeps_its_weights_in_fp32() -> None:
    generator = tiny_generator(32)
    ws, _ = a_picture(generator, 1)
    _, target = a_picture(generator, 2)
    inversion = Inversion(ws, dict(generator.synthesis.noise_consts()))
    ends = {}
    for low in (None, 16):
        tuned = copy.deepcopy(generator)
        rng = torch.Generator().manual_seed(0)
        list(tune(tuned, [target], [inversion], OfflineDistance(), CONFIG, rng, low))
        assert all(each.dtype == torch.float32 for each in tuned.parameters())
        picture = tuned.synthesis(ws, inversion.noise_consts)
        ends[low] = float((picture - target).square().mean())
    before = float((generator.synthesis(ws) - target).square().mean())
    assert ends[None] < 0.5 * before
    assert ends[16] == pytest.approx(ends[None], rel=0.1)
    assert ends[16] != ends[None]


def test_projection_in_bf16_comes_as_near() -> None:
    generator = tiny_generator(32)
    _, target = a_picture(generator, 2)
    config = settled(ProjectionConfig(steps=40), None)
    ends = {}
    for low in (None, 16):
        rng = torch.Generator().manual_seed(0)
        statistics = w_statistics(generator, 500)
        *_, last = project(
            generator, target, OfflineDistance(), config, statistics, rng, bf16_from=low
        )
        assert last.inversion.w_pivot.dtype == torch.float32
        picture = generator.synthesis(last.inversion.w_pivot, last.inversion.noise_consts)
        ends[low] = float(OfflineDistance()(picture, target).detach())
    assert ends[16] == pytest.approx(ends[None], rel=0.15)
    assert ends[16] != ends[None]


def test_the_manifest_names_the_precision(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.machine.precision.BF16_FROM", 16)
    run(case.invert("--precision", "bf16"))
    run(case.tune())

    def precision(stage: str) -> str:
        fingerprint = read_sealed(case.workspace / STATE)["current"][stage]
        folder = case.workspace / "artifacts" / f"{stage}-{fingerprint[:16]}"
        return str(read_artifact(folder).info["precision"])

    assert (precision("invert"), precision("tune")) == ("bf16", "fp32")
    run(case.tune("--precision", "bf16"))
    assert precision("tune") == "bf16"


def test_the_default_is_left_to_the_machine() -> None:
    for config in (ProjectionConfig(), TuningConfig()):
        assert dataclasses.asdict(config)["precision"] == "auto"
