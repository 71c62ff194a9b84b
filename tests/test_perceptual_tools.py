"""The perceptual distance is taught and tried on changes whose order is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from inversion.perceptual import OfflineDistance, PerceptualDistance
from inversion.perceptual_network import load_network
from tools.distortions import EVERY, at_mse, mse
from tools.perceptual_check import (
    ORDERED,
    L2Distance,
    Order,
    Pair,
    equal_error_orders,
    face_orders,
    missing_orders,
    share_monotone,
    share_right,
    table,
    typical,
)
from tools.pyramid import PyramidDistance
from tools.train_perceptual import (
    OTHERS,
    calibrate,
    draw_portraits,
    fresh_network,
    loss_of,
    pairwise,
    read_portraits,
    save,
    train,
    versions,
)


def pictures(n: int, size: int = 64, seed: int = 0) -> Tensor:
    """Smooth random pictures with a few edges."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 6, 6, generator=rng) * 1.6 - 0.8
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return smooth + 0.2 * (smooth > 0.1).float()


def portraits(n: int) -> list[Tensor]:
    """Two pictures of each of n people, uint8 [2, 3, 128, 128]."""
    x = pictures(n, 128)
    both = torch.stack([x, (x + 0.2 * pictures(n, 128, seed=9)).clamp(-1, 1)], dim=1)
    return list((both.clamp(-1, 1) * 127.5 + 127.5).to(torch.uint8))


@pytest.mark.parametrize("name", ORDERED)
def test_every_change_repeats_itself_grows_with_its_strength_and_starts_at_none(name: str) -> None:
    x = pictures(3)

    def changed(strength: float) -> Tensor:
        return ORDERED[name](x, torch.full((3,), strength), torch.Generator().manual_seed(1))

    assert torch.equal(changed(0.5), changed(0.5))
    errors = [float(mse(changed(strength), x).mean()) for strength in (0.1, 0.4, 1.0)]
    assert errors == sorted(errors)
    assert errors[-1] > 1e-4
    if name != "jpeg":
        assert float(mse(changed(0.0), x).max()) < 1e-4


def test_a_change_is_brought_to_the_error_that_is_asked_for() -> None:
    x = pictures(4)
    wanted = torch.tensor([0.004, 0.01, 0.02, 0.04])
    for name in ("brightness", "noise", "blocks"):
        made, error = at_mse(EVERY[name], x, wanted, seed=3)
        assert torch.allclose(error, wanted, rtol=0.1), name
        assert torch.allclose(mse(made, x), error)


def test_training_orders_compare_equal_errors_and_more_with_less() -> None:
    x = pictures(6)
    rng = torch.Generator().manual_seed(0)
    for _ in range(8):
        made, orders = versions(x, rng)
        assert made.shape == (8, *x.shape)
        assert torch.allclose(mse(made[1], x), mse(made[0], x), rtol=0.01)
        assert torch.allclose(mse(made[2], x), mse(made[0], x), rtol=0.01)
        for less, more, valid in orders:
            assert less != more
            assert valid.shape == (6,)


def test_both_photos_of_a_person_are_drawn_and_single_ones_are_no_pair() -> None:
    people = [*portraits(3), pictures(1, 128).to(torch.uint8)]
    x, other, real = draw_portraits(people, 4, torch.Generator().manual_seed(2))
    assert x.shape == other.shape
    assert bool(real.any())
    assert bool(((mse(x, other) > 0) == real).all())


def test_pairwise_distances_are_the_distances_of_the_pairs() -> None:
    network = fresh_network(0).eval()
    distance = OfflineDistance(network)
    a, b = pictures(2), pictures(3, seed=5)
    with torch.no_grad():
        every = pairwise(network(a), network(b))
        assert every.shape == (2, 3)
        assert float(every[1, 2]) == pytest.approx(float(distance(a[1:], b[2:])), rel=1e-3)


def test_training_gets_more_orders_right_and_the_weights_can_be_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    people = portraits(6)
    network = fresh_network(0)
    shown = [dict(mean) for _, mean in train(network, people, steps=12, n=3, lr=2e-3, seed=0)]
    assert shown[-1]["orders"] < shown[0]["orders"]
    save(network, people, tmp_path / "p.safetensors")
    loaded = load_network(tmp_path / "p.safetensors")
    x = torch.stack([p[0] for p in people]).float() / 127.5 - 1
    with torch.no_grad():
        gaps = pairwise(loaded(x), loaded(x))[~torch.eye(6, dtype=torch.bool)]
    assert float(gaps.median()) == pytest.approx(OTHERS, rel=0.05)


def test_calibration_only_scales_what_was_learned() -> None:
    people = portraits(4)
    network = fresh_network(1)
    x = pictures(3)
    depths = len(network.weights)
    with torch.no_grad():
        before = network(x)
        calibrate(network, people)
        after = network(x)
    ratios = [float(a.std() / b.std()) for a, b in zip(after, before, strict=True)]
    assert ratios[:depths] == pytest.approx([ratios[0]] * depths, rel=1e-3)
    assert ratios[depths:] == pytest.approx([1.0] * (len(ratios) - depths))


def test_the_loss_counts_every_rule() -> None:
    loss, shown = loss_of(fresh_network(0), portraits(5), 4, torch.Generator().manual_seed(0))
    assert loss.requires_grad
    assert shown.keys() == {"orders", "right", "people", "own first", "others"}
    assert 0 <= shown["right"] <= 1


def test_people_held_out_are_read_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "aligned").mkdir()
    rows = ["id\tsplit\tperson"]
    for i in range(6):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(
            tmp_path / "aligned" / f"{i}.jpg"
        )
        rows.append(f"{i}\ttrain\tp{i // 2}")
    rows.append("d0\tdev\t")
    (tmp_path / "index.tsv").write_text("\n".join(rows), encoding="utf-8")
    out = read_portraits(tmp_path, 1, keep=True)
    inside = read_portraits(tmp_path, 1, keep=False)
    assert out.keys() | inside.keys() == {"p0", "p1", "p2"}
    assert not out.keys() & inside.keys()
    assert all(each.shape == (2, 3, 128, 128) for each in out.values())


class Told(PerceptualDistance):
    """A distance that only knows one value a picture."""

    name = "told"

    def features(self, images: Tensor) -> list[Tensor]:
        return [images.mean(dim=(1, 2, 3), keepdim=True)]


def test_the_share_of_right_orders_is_counted_by_group() -> None:
    zero = torch.zeros(1, 3, 8, 8)
    pairs: list[Pair] = [(zero, zero + value) for value in (0.1, 0.2, 0.3)]
    orders = [Order("a", 0, 1), Order("a", 2, 1), Order("b", 0, 2)]
    assert share_right(Told(), pairs, orders) == {"a": 0.5, "b": 1.0}


def test_what_is_compared_at_equal_error_has_equal_error() -> None:
    pairs: list[Pair] = []
    x = pictures(2)
    orders = equal_error_orders(x, 23.0, 0, pairs) + missing_orders(x, 7, pairs)
    assert {o.group for o in orders} >= {"light, colour < noise", "noise < blur, JPEG"}
    for order in orders:
        errors = [float(mse(*pairs[k])) for k in (order.less, order.more)]
        assert max(errors) < 1.3 * min(errors)


def test_faces_are_ordered_from_slight_changes_over_the_same_person_to_others() -> None:
    pairs: list[Pair] = []
    orders = face_orders([p.float() / 127.5 - 1 for p in portraits(3)], 0, pairs)
    assert {o.group for o in orders} == {
        "mirrored < another face",
        "slightly changed < another face",
        "slightly changed < same person",
        "same person < another face",
    }
    assert share_right(L2Distance(), pairs, orders)["slightly changed < another face"] > 0.9


def test_l2_rises_with_strength_and_the_table_shows_it() -> None:
    x = pictures(2)
    shares = share_monotone(L2Distance(), x, 0)
    assert shares["noise"] == shares["brightness"] == 1.0
    assert typical(L2Distance(), x)["noise 1"] > typical(L2Distance(), x)["noise 0.25"]
    written = table({"l2": {"noise": 1.0}, "other": {"noise": 0.5}}, "{:.1f}".format)
    assert written.splitlines()[-1] == "| noise | 1.0 | 0.5 |"


def test_the_pyramid_made_by_hand_still_ranks_and_has_a_gradient() -> None:
    distance = PyramidDistance()
    x, other = pictures(2).split(1)
    soft = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    assert float(distance(x, x)) == 0
    assert float(distance(soft, x)) < float(distance(other, x))
    blank = torch.zeros_like(x).requires_grad_(True)
    distance(blank, x).sum().backward()
    assert blank.grad is not None
    assert bool(blank.grad.isfinite().all())
