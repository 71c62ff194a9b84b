"""What other devices than the CPU need, held with one that is not there: see fake_device.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drag.config import DragConfig
from drag.points import DragPoint
from drag.session import DragSession, DragStep
from inversion.fidelity import fidelity
from inversion.perceptual import OfflineDistance
from tests.factories import tiny_generator
from tests.fake_device import DEVICE, FakeDevice

POINTS = [
    DragPoint((32.0, 30.0), (36.0, 31.0)),
    DragPoint((50.0, 50.0), (46.0, 51.0)),
    DragPoint((10.0, 50.0), (14.0, 51.0)),
]
READS = {"newton": 2, "draggan": 1}
"""Where to render next, and the numbers of the step; the paper's method knows where beforehand."""


def _session(method: str, masked: bool, device: str) -> DragSession:
    generator = tiny_generator(64, seed=1).to(device)
    rng = torch.Generator().manual_seed(3)
    ws = torch.randn(1, generator.num_ws, generator.w_dim, generator=rng).to(device)
    mask = None
    if masked:
        mask = torch.zeros(64, 64, dtype=torch.bool)
        mask[:, 5:60] = True
    return DragSession(generator, ws, None, POINTS, DragConfig(method=method), mask)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("method", ["newton", "draggan"])
def test_a_drag_step_sends_nothing_to_the_device_and_reads_only_what_it_must(
    method: str, masked: bool
) -> None:
    with FakeDevice() as device:
        session = _session(method, masked, DEVICE)
        session.step()
        for _ in range(2):
            device.uploads.clear()
            device.reads.clear()
            session.step()
            assert device.uploads == []
            assert len(device.reads) <= READS[method], device.reads


@pytest.mark.parametrize("method", ["newton", "draggan"])
def test_a_drag_on_a_device_is_that_of_the_cpu(method: str) -> None:
    def steps(device: str) -> tuple[list[DragStep], Tensor]:
        session = _session(method, False, device)
        return [session.step() for _ in range(3)], session.ws.cpu()

    here, expected = steps("cpu")
    with FakeDevice():
        there, found = steps(DEVICE)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(torch.tensor(a.handles), torch.tensor(b.handles))


def test_random_noise_may_be_drawn_with_a_generator_of_the_host() -> None:
    generator = tiny_generator(16)
    ws = torch.randn(1, generator.num_ws, generator.w_dim)

    def picture(device: str) -> Tensor:
        rng = torch.Generator().manual_seed(5)
        made: Tensor = generator.to(device).synthesis(ws.to(device), noise_mode="random", rng=rng)
        return made.cpu()

    expected = picture("cpu")
    with FakeDevice():
        found = picture(DEVICE)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_fidelity_asks_no_float64_of_the_device() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    expected = fidelity(a, b, OfflineDistance())
    with FakeDevice(has_doubles=False):
        distance = OfflineDistance().to(DEVICE)
        assert fidelity(a.to(DEVICE), b.to(DEVICE), distance) == pytest.approx(expected, rel=1e-4)
