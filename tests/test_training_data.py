"""What a training shows its networks: packed, weighed, warped and disturbed pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training_cases import FACES, write_faces
from tools.adversarial.augment import Augmentation
from tools.adversarial.packing import DataInvalid, Pack, pack_faces, read_pack
from tools.adversarial.pictures import Pictures, draw_weights, rare
from tools.adversarial.warps import GRID, thin_plate_field, warp_fields

CPU = torch.device("cpu")


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_folder_is_packed_without_what_is_kept_or_left_out(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces")
    assert pack_faces([tmp_path / "faces"], tmp_path / "all") == FACES - 1
    assert pack_faces([tmp_path / "faces"], tmp_path / "some", ["lon"]) == FACES - 2
    assert pack_faces([tmp_path / "faces"], tmp_path / "only", (), ["lon"]) == 1
    pack = read_pack(tmp_path / "some", size=32)
    assert pack.images.shape == (FACES - 2, 3, 32, 32)
    assert set(pack.source) == {"staff"}
    assert pack.yaw.tolist() == list(range(2, FACES))
    assert pack.synthetic.tolist() == [bool(i % 2) for i in range(2, FACES)]
    with Image.open(tmp_path / "faces" / "aligned" / "00002.jpg") as image:
        first = np.asarray(image.convert("RGB"), np.float32)
    assert np.abs(pack.images[0].permute(1, 2, 0).numpy() - first).mean() < 6
    assert 0.29 < float(pack.landmarks.min()) < float(pack.landmarks.max()) < 0.72


def test_faces_without_landmarks_are_packed_and_never_warped(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces")
    (tmp_path / "faces" / "landmarks.npz").unlink()
    pack_faces([tmp_path / "faces"], tmp_path / "packed")
    pack = read_pack(tmp_path / "packed", size=32)
    assert pack.landmarks.isnan().all()
    assert not warp_fields(pack.landmarks, pack.yaw, 2, rng()).any()
    assert not rare(pack.landmarks, torch.zeros(len(pack))).any()


@pytest.mark.parametrize(
    ("lost", "message"), [("index.tsv", "index.tsv is missing"), ("00005.jpg", "00005.jpg")]
)
def test_a_folder_that_lacks_something_is_named(tmp_path: Path, lost: str, message: str) -> None:
    write_faces(tmp_path / "faces")
    next((tmp_path / "faces").rglob(lost)).unlink()
    with pytest.raises(DataInvalid, match=message):
        pack_faces([tmp_path / "faces"], tmp_path / "packed")


def a_face() -> torch.Tensor:
    """Return the landmarks of a face with open eyes and a closed mouth, turned nowhere: [68, 2]."""
    points = torch.rand(68, 2, generator=rng())
    for corners, upper, lower in (((36, 39), (37, 38), (41, 40)), ((42, 45), (43, 44), (47, 46))):
        points[list(corners)] = torch.tensor([[0.0, 0.5], [0.3, 0.5]])
        points[list(upper)] = torch.tensor([[0.1, 0.45], [0.2, 0.45]])
        points[list(lower)] = torch.tensor([[0.1, 0.55], [0.2, 0.55]])
    points[[48, 54, 62, 66]] = torch.tensor([[0.3, 0.8], [0.7, 0.8], [0.5, 0.8], [0.5, 0.81]])
    return points


def test_open_mouths_closed_eyes_and_turned_heads_are_drawn_more_often() -> None:
    faces = torch.stack([a_face()] * 4)
    faces[1, 66, 1] += 0.2
    faces[2, [37, 38, 40, 41], 1] = 0.5
    yaw = torch.tensor([0.0, 0.0, 0.0, -30.0])
    assert rare(faces, yaw).tolist() == [False, True, True, True]
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 3, 64, 64)
    pack = Pack(images, faces, yaw, ("a", "ab", "a", "b"), torch.zeros(4, dtype=torch.bool))
    weights = draw_weights(pack, rare_weight=3.0, by_source={"b": 2.0})
    assert weights.tolist() == [1, 3, 3, 6]
    drawn = Pictures(pack, weights, CPU).indices(13_000, rng()).bincount()
    assert torch.allclose(drawn / 13_000, weights / 13, atol=0.02)


def test_a_warp_moves_a_landmark_to_where_it_is_told() -> None:
    size = 64
    own = 0.4 + 0.2 * torch.rand(1, 68, 2, generator=rng())
    own[0, 0] = torch.tensor([0.3, 0.3])
    other = own.clone()
    other[0, 0] = torch.tensor([0.4, 0.25])
    field = thin_plate_field(other, own)
    where = ((other[0, 0] * GRID) - 0.5).round().long()
    shift = field[0, :, where[1], where[0]]
    assert torch.allclose(shift, own[0, 0] - other[0, 0], atol=0.015)
    assert field[0, :, 0].abs().max() < 0.02
    line = (torch.arange(size) + 0.5) / size
    spot = (line[:, None] - 0.3) ** 2 + (line[None] - 0.3) ** 2 < 0.03**2
    images = (spot * 255).byte().expand(1, 3, size, size)
    pack = Pack(images, own, torch.zeros(1), ("a",), torch.zeros(1, dtype=torch.bool))
    pictures = Pictures(pack, torch.ones(1), CPU)
    pictures.fields = field[:, None].expand(1, 8, -1, -1, -1).half()
    means = torch.stack([pictures.draw(400, warp, rng()).mean(dim=(0, 1)) for warp in (0.0, 2.0)])
    means = (means + 1).clamp_min(0.0)[:, :, : size // 2]
    across = (means.sum(dim=1) @ line[: size // 2]) / means.sum(dim=(1, 2))
    assert across[1] > across[0] + 0.02


def test_half_of_the_pictures_are_mirrored() -> None:
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    images[..., :32] = 255
    pack = Pack(
        images,
        torch.full((1, 68, 2), torch.nan),
        torch.zeros(1),
        ("a",),
        torch.zeros(1, dtype=torch.bool),
    )
    drawn = Pictures(pack, torch.ones(1), CPU).draw(400, 0.0, rng())
    left = (drawn[..., :16].mean(dim=(1, 2, 3)) > 0).float().mean()
    assert 0.4 < float(left) < 0.6


def test_augmentation_disturbs_two_batches_alike_and_has_a_gradient() -> None:
    x = torch.rand(6, 3, 32, 32, generator=rng(), requires_grad=True)
    augment = Augmentation(6, 32, rng(), CPU)
    y = augment(x)
    assert y.shape == x.shape
    assert torch.equal(augment(x.detach().clone()), y.detach())
    assert not torch.allclose(y, x, atol=0.1)
    assert (y == 0).float().mean() > 0.05
    y.sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
