"""Perceptual distances: LPIPS through its package, ours where its weights cannot be had."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from inversion.config import OFFLINE_PERCEPTUAL
from inversion.fidelity import fidelity, ms_ssim
from inversion.perceptual import (
    BACKBONES,
    LpipsDistance,
    OfflineDistance,
    PerceptualUnavailable,
    build_perceptual,
    resolve_perceptual,
)
from inversion.perceptual_network import load_network, network_path
from pipeline.machine.bench import Bench
from stylegan2.checkpoint import WeightsInvalid
from stylegan2.downloads.known_file import KnownFile
from tests.download_server import CONTENT, OTHER, Site, serving


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


@pytest.mark.parametrize("backbone", ["alex", "squeeze"])
def test_the_lpips_distance_is_the_packages_own(portraits: Tensor, backbone: str) -> None:
    ours = LpipsDistance(backbone, random_backbone=True)
    theirs = ours.model(portraits[:1], portraits[1:]).flatten()
    assert torch.allclose(ours(portraits[:1], portraits[1:]), theirs, rtol=1e-4)


def test_the_offline_distance_is_zero_for_equal_pictures_and_symmetric(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    a, b = portraits[:1], portraits[1:]
    assert float(distance(a, a)) == 0
    assert float(distance(a, b)) == pytest.approx(float(distance(b, a)))


def test_the_offline_distance_is_named_and_the_same_every_time(portraits: Tensor) -> None:
    one, other = build_perceptual("offline"), OfflineDistance()
    assert one.name == other.name == OFFLINE_PERCEPTUAL
    a, b = portraits[:1], portraits[1:]
    assert torch.equal(one(a, b), other(a, b))


def test_more_of_a_change_is_more_different(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    a, other = portraits[:1], portraits[1:]
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(a.shape, generator=rng)
    changes = {
        "softness": [blurred(a, k) for k in (2, 4, 8)],
        "shift": [a.roll(k, dims=3) for k in (1, 2, 4)],
        "noise": [a + k * noise for k in (0.02, 0.05, 0.15, 0.4)],
        "light": [a + k for k in (0.05, 0.1, 0.2, 0.4)],
        "contrast": [a * k for k in (0.95, 0.8, 0.6, 0.4)],
    }
    for name, pictures in changes.items():
        values = [float(distance(picture, a)) for picture in pictures]
        assert values == sorted(values), name
        assert values[0] > 0
    assert float(distance(blurred(a, 8), a)) < float(distance(other, a))


def test_at_an_equal_squared_error_it_ranks_as_people_do_and_l2_cannot(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    rng = torch.Generator().manual_seed(0)
    for a in portraits.split(1):
        soft = blurred(a, 8)
        error = float((soft - a).square().mean())
        grain = torch.randn(a.shape, generator=rng)
        ways = {
            "light": torch.ones_like(a),
            "contrast": a - a.mean(),
            "tint": torch.tensor([1.0, -1.0, 0.0])[None, :, None, None].expand_as(a),
        }
        moved = a.roll((1, 1), dims=(2, 3))
        calm = [a + way * (error / float(way.square().mean())) ** 0.5 for way in ways.values()]
        noisy = a + grain * (error / float(grain.square().mean())) ** 0.5
        values = [float(distance(each, a)) for each in (*calm, moved)]
        assert max(values) < float(distance(noisy, a))
        assert max(values) < float(distance(soft, a))
        dimmer = a - 1.2 * error**0.5
        assert float((dimmer - a).square().mean()) > error
        assert float(distance(dimmer, a)) < float(distance(soft, a))


def test_a_checkerboard_counts_as_much_as_noise_of_its_error(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    a = portraits[:1]
    line = torch.arange(a.shape[-1])
    board = ((line[:, None] + line) % 2 * 2 - 1).float().expand_as(a)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    assert float(distance(a + 0.1 * board, a)) > 0.3 * float(distance(a + 0.1 * noise, a))


def test_descending_on_it_repairs_a_picture(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    a = portraits[:1]
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    for broken in (blurred(a, 4), a + 0.15 * noise, a + 0.3):
        x = broken.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([x], lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            distance(x, a).sum().backward()
            optimizer.step()
        assert float((x.detach() - a).square().mean()) < 0.5 * float((broken - a).square().mean())


def test_it_has_a_gradient_everywhere(portraits: Tensor) -> None:
    for start in (torch.zeros_like(portraits[:1]), portraits[:1].clone()):
        x = start.requires_grad_(True)
        build_perceptual("offline")(x, portraits[1:]).sum().backward()
        assert x.grad is not None
        assert bool(x.grad.isfinite().all())
        assert bool((x.grad.abs().sum(dim=1) > 0).all())


@pytest.mark.parametrize("size", [8, 16, 64, 300])
def test_pictures_of_any_size_are_compared(portraits: Tensor, size: int) -> None:
    x = F.interpolate(portraits, size=(size, size), mode="area")
    distance = build_perceptual("offline")
    assert float(distance(x[:1], x[1:])) > float(distance(x[:1], x[:1] + 0.05))


def test_kept_features_give_the_same_distance_and_serve_a_batch(portraits: Tensor) -> None:
    distance = build_perceptual("offline")
    kept = distance.features(portraits[:1])
    together = distance.between(distance.features(portraits), kept)
    assert float(together[0]) == pytest.approx(0, abs=1e-7)
    assert float(together[1]) == pytest.approx(
        float(distance(portraits[1:], portraits[:1])), rel=1e-5
    )


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    with pytest.raises(WeightsInvalid, match=r"p\.safetensors"):
        load_network(path)
    good = network_path().read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(WeightsInvalid, match="install realdrag again"):
        load_network(path)
    tensors = load_file(network_path())
    name = sorted(tensors)[0]
    save_file({k: v for k, v in tensors.items() if k != name}, path)
    with pytest.raises(WeightsInvalid, match=name):
        load_network(path)
    save_file({**tensors, name: tensors[name] * float("nan")}, path)
    with pytest.raises(WeightsInvalid, match="not finite"):
        load_network(path)


def test_the_weights_are_about_a_megabyte() -> None:
    assert network_path().stat().st_size < 1_500_000


@pytest.fixture
def site(downloads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that has made-up backbones, and an empty folder to put them into."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with serving(Site()) as site:
        for name in BACKBONES:
            sha256 = hashlib.sha256(CONTENT).hexdigest()
            monkeypatch.setitem(BACKBONES, name, KnownFile(f"{site.url}{name}.pth", sha256, 1))
        yield site


def test_a_backbone_is_downloaded_once_into_torchs_folder(site: Site, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []
    for _ in range(2):
        assert resolve_perceptual("lpips-alex", lambda *told: heard.append(told)) == "lpips-alex"
    assert (tmp_path / "checkpoints" / "lpips-alex.pth").read_bytes() == CONTENT
    assert site.asked == ["lpips-alex.pth"]
    assert heard[-1] == ("lpips-alex.pth", len(CONTENT), len(CONTENT))


def test_a_backbones_download_goes_on_where_it_broke_off(site: Site) -> None:
    site.cuts = [300_000]
    assert resolve_perceptual("auto") == "lpips-vgg"
    assert site.requests[1]["range"] == "bytes=300000-"
    assert site.sent == len(CONTENT)


def test_a_backbone_with_other_bytes_is_not_used(site: Site, tmp_path: Path) -> None:
    site.content = OTHER
    with pytest.raises(PerceptualUnavailable, match=r"lpips-vgg.*not the known file.*offline"):
        resolve_perceptual("lpips-vgg")
    assert not (tmp_path / "checkpoints" / "lpips-vgg.pth").exists()
    assert resolve_perceptual("auto") == "offline"


def test_a_damaged_backbone_is_fetched_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "lpips-vgg.pth").write_bytes(CONTENT[:1000])
    assert resolve_perceptual("auto") == "lpips-vgg"
    assert (tmp_path / "checkpoints" / "lpips-vgg.pth").read_bytes() == CONTENT


def test_without_its_weights_auto_falls_back_and_a_named_choice_explains(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def no_network(request: object, timeout: float) -> None:
        tried.append("once")
        raise OSError("no route")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    assert resolve_perceptual("auto") == "offline"
    assert build_perceptual("auto").name == OFFLINE_PERCEPTUAL
    assert tried == ["once"]
    with pytest.raises(PerceptualUnavailable, match="no route.*--perceptual offline"):
        resolve_perceptual("lpips-alex")


def test_offline_mode_never_asks_the_network(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALDRAG_OFFLINE", "yes")
    assert resolve_perceptual("auto") == "offline"
    assert site.asked == []


def test_the_backbones_are_the_files_that_torchvision_loads() -> None:
    from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

    theirs = {
        "lpips-vgg": VGG16_Weights.IMAGENET1K_V1,
        "lpips-alex": AlexNet_Weights.IMAGENET1K_V1,
        "lpips-squeeze": SqueezeNet1_1_Weights.IMAGENET1K_V1,
    }
    assert {name: weights.url for name, weights in theirs.items()} == {
        name: file.url for name, file in BACKBONES.items()
    }
    for file in BACKBONES.values():
        assert file.name.removesuffix(".pth").endswith(f"-{file.sha256[:8]}")
        assert len(file.sha256) == 64


def test_fidelity_of_equal_pictures_is_perfect_and_falls_with_noise(portraits: Tensor) -> None:
    a = portraits[:1]
    same = fidelity(a, a, OfflineDistance())
    assert same == {"perceptual": 0.0, "l2": 0.0, "psnr": 100.0, "ms_ssim": pytest.approx(1.0)}
    noise = 0.2 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    worse = fidelity(a, a + noise, OfflineDistance())
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


def test_auto_and_what_it_settles_on_are_one_distance_built_once(home: Path) -> None:
    bench = Bench("cpu")
    assert bench.perceptual("auto") is bench.perceptual("offline")
