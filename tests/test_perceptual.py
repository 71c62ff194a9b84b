"""Perceptual distances: LPIPS through its package, ours where its weights cannot be had."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from inversion import perceptual
from inversion.fidelity import fidelity, ms_ssim
from inversion.perceptual import (
    Backbone,
    LpipsDistance,
    PerceptualUnavailable,
    PyramidDistance,
    build_perceptual,
    fetch_backbone,
    resolve_perceptual,
)


@pytest.fixture(scope="module")
def portraits() -> Tensor:
    """The astronaut's face and the cat's, [2, 3, 128, 128]."""
    from skimage import data

    crops = [data.astronaut()[20:220, 130:330], data.chelsea()[20:270, 100:350]]
    tensors = [torch.from_numpy(c.copy()).permute(2, 0, 1)[None].float() for c in crops]
    small = [F.interpolate(t, size=(128, 128), mode="area") for t in tensors]
    return torch.cat(small) / 127.5 - 1


def blurred(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(F.avg_pool2d(x, factor), size=x.shape[-2:], mode="bilinear")


def test_the_lpips_distance_is_the_packages_own(portraits: Tensor) -> None:
    ours = LpipsDistance("alex", random_backbone=True)
    theirs = ours.model(portraits[:1], portraits[1:]).flatten()
    assert torch.allclose(ours(portraits[:1], portraits[1:]), theirs, rtol=1e-4)


def test_the_pyramid_is_zero_for_equal_pictures_and_symmetric(portraits: Tensor) -> None:
    distance = PyramidDistance()
    a, b = portraits[:1], portraits[1:]
    assert float(distance(a, a)) == 0
    assert float(distance(a, b)) == pytest.approx(float(distance(b, a)))


def test_the_pyramid_ranks_distortions_as_people_do_where_l2_does_not(portraits: Tensor) -> None:
    distance = PyramidDistance()
    a, other = portraits[:1], portraits[1:]
    light = a - 0.3
    soft = blurred(a, 8)
    assert float((light - a).square().mean()) > float((soft - a).square().mean())
    assert float(distance(light, a)) < float(distance(soft, a))
    softness = [float(distance(blurred(a, k), a)) for k in (2, 4, 8)]
    assert softness == sorted(softness)
    shifts = [float(distance(a.roll(k, dims=3), a)) for k in (1, 2, 4)]
    assert shifts == sorted(shifts)
    assert softness[-1] < float(distance(other, a))


def test_the_pyramid_has_a_gradient_everywhere(portraits: Tensor) -> None:
    x = torch.zeros_like(portraits[:1]).requires_grad_(True)
    PyramidDistance()(x, portraits[:1]).sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    assert float(x.grad.abs().sum()) > 0


def test_kept_features_give_the_same_distance_and_serve_a_batch(portraits: Tensor) -> None:
    distance = PyramidDistance()
    kept = distance.features(portraits[:1])
    together = distance.between(distance.features(portraits), kept)
    assert float(together[0]) == pytest.approx(0, abs=1e-7)
    assert float(together[1]) == pytest.approx(
        float(distance(portraits[1:], portraits[:1])), rel=1e-5
    )


class _Weights(http.server.BaseHTTPRequestHandler):
    payload = b"weights"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.payload)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.payload)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Weights)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(perceptual, "_unreachable", set())
    monkeypatch.delenv("REALDRAG_OFFLINE", raising=False)
    return tmp_path


def test_a_backbone_is_downloaded_once_and_its_hash_checked(address: str, hub: Path) -> None:
    import hashlib

    good = Backbone(f"{address}/w.pth", hashlib.sha256(b"weights").hexdigest()[:8], 1)
    fetch_backbone(good)
    assert good.path.read_bytes() == b"weights"
    bad = Backbone(f"{address}/other.pth", "00000000", 1)
    with pytest.raises(PerceptualUnavailable, match="other.pth"):
        fetch_backbone(bad)
    assert not bad.path.exists()


def test_without_its_weights_auto_falls_back_and_a_named_choice_explains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    def no_network(request: object, timeout: float) -> None:
        tried.append("once")
        raise OSError("no route")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    assert resolve_perceptual("auto") == "offline"
    assert build_perceptual("auto").name == PyramidDistance.name
    assert tried == ["once"]
    with pytest.raises(PerceptualUnavailable, match="--perceptual offline"):
        resolve_perceptual("lpips-alex")


def test_offline_mode_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("asked the network"))
    assert resolve_perceptual("auto") == "offline"


def test_fidelity_of_equal_pictures_is_perfect_and_falls_with_noise(portraits: Tensor) -> None:
    a = portraits[:1]
    same = fidelity(a, a, PyramidDistance())
    assert same == {"perceptual": 0.0, "l2": 0.0, "psnr": 100.0, "ms_ssim": pytest.approx(1.0)}
    noise = 0.2 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    worse = fidelity(a, a + noise, PyramidDistance())
    assert worse["psnr"] == pytest.approx(20.0, abs=0.2)
    assert 0 < worse["ms_ssim"] < 0.99


def test_ms_ssim_of_one_scale_is_scikit_images_ssim(portraits: Tensor) -> None:
    from skimage.metrics import structural_similarity

    a = portraits[:1, :, 50:70, 50:70]
    b = blurred(a, 2)
    arrays = [((x[0].permute(1, 2, 0).double().numpy()) + 1) / 2 for x in (a, b)]
    theirs, full = structural_similarity(
        *arrays,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inner = full[5:-5, 5:-5].mean()
    assert ms_ssim(a, b) == pytest.approx(float(inner), abs=1e-5)
