"""The offline face finder: what it finds, what it leaves alone, and how it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from inversion.faces import finder as finder_module
from inversion.faces.finder import FaceFinder, load_finder
from inversion.faces.finder_geometry import (
    CROP_EYES,
    MIRRORED,
    TEMPLATE,
    Reductions,
    crop_of,
    fit_template,
)
from inversion.faces.finder_networks import CROP, FaceDetector
from stylegan2.arrays import UInt8Image
from tools import train_finder
from tools.finder_canvas import Placement, compose
from tools.finder_data import (
    MIRRORED73,
    Backgrounds,
    Portrait,
    _emblem,
    load_portraits,
    split_by_person,
)
from tools.finder_measure import faceless_samples

Points = npt.NDArray[np.floating]

# Placed by eye on a six-fold enlargement of skimage.data.astronaut(); good to half a pixel.
ASTRONAUT = np.array(
    [[202.8, 100.8], [245.8, 103.2], [225.3, 125.8], [204.5, 140.8], [242.8, 141.5]]
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return load_finder()


@pytest.fixture(scope="module")
def astronaut() -> UInt8Image:
    return np.asarray(skimage.data.astronaut())


def error(found: Points, truth: Points) -> float:
    """Return the mean distance of the five points in eye distances."""
    return float(np.hypot(*(found - truth).T).mean() / np.hypot(*(truth[1] - truth[0])))


def warped(pixels: UInt8Image, a: complex, b: complex, size: tuple[int, int]) -> UInt8Image:
    """Move pixels and ASTRONAUT-like points by a z + b onto a grey picture [size]."""
    back, shift = 1 / a, -b / a
    shift = shift + 0.5 + 0.5j - back * (0.5 + 0.5j)
    affine = (back.real, -back.imag, shift.real, back.imag, back.real, shift.imag)
    image = Image.fromarray(pixels).transform(
        size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC, fillcolor=(90, 110, 100)
    )
    return np.asarray(image)


def moved(points: Points, a: complex, b: complex) -> Points:
    z = a * (points[:, 0] + 1j * points[:, 1]) + b
    return np.stack([z.real, z.imag], axis=-1)


# --------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("scale", [0.25, 0.4, 1.0, 1.7, 3.0])
def test_a_face_is_found_at_every_size(
    finder: FaceFinder, astronaut: UInt8Image, scale: float
) -> None:
    side = round(512 * scale)
    pixels = np.asarray(Image.fromarray(astronaut).resize((side, side), Image.Resampling.LANCZOS))
    faces = finder.find(pixels)
    assert len(faces) == 1
    points, score = faces[0]
    assert points.shape == (5, 2) and points.dtype == np.float32
    assert 0.5 <= score <= 1
    assert error((points + 0.5) / (side / 512) - 0.5, ASTRONAUT) < 0.08


def test_a_face_an_eighth_of_the_side_wide_is_found(
    finder: FaceFinder, astronaut: UInt8Image
) -> None:
    a, b = 0.62 + 0j, 300 + 200j
    faces = finder.find(warped(astronaut, a, b, (800, 640)))
    assert len(faces) == 1
    assert error(faces[0][0], moved(ASTRONAUT, a, b)) < 0.1


def test_a_face_that_fills_the_picture_is_found(finder: FaceFinder, astronaut: UInt8Image) -> None:
    corner = np.array([172, 56])
    faces = finder.find(np.ascontiguousarray(astronaut[56:176, 172:276]))
    assert len(faces) == 1
    assert error(faces[0][0] + corner, ASTRONAUT) < 0.1


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_a_turned_face_is_found(finder: FaceFinder, astronaut: UInt8Image, degrees: float) -> None:
    a = complex(np.exp(1j * np.radians(degrees)))
    b = 256 + 200j - a * (224 + 122j)
    faces = finder.find(warped(astronaut, a, b, (512, 512)))
    assert len(faces) == 1
    assert error(faces[0][0], moved(ASTRONAUT, a, b)) < 0.1


def test_two_faces_of_different_size_are_both_found(
    finder: FaceFinder, astronaut: UInt8Image
) -> None:
    small, put = 0.5 + 0j, 560 + 40j
    pixels = warped(astronaut, small, put, (820, 512)).copy()
    pixels[:, :512] = astronaut
    faces = finder.find(pixels)
    assert len(faces) == 2
    left, right = sorted((points for points, _ in faces), key=lambda points: points[0, 0])
    assert error(left, ASTRONAUT) < 0.08
    assert error(right, moved(ASTRONAUT, small, put)) < 0.1


def test_light_grey_and_blur_do_not_hide_a_face(finder: FaceFinder, astronaut: UInt8Image) -> None:
    grey = np.asarray(Image.fromarray(astronaut).convert("L").convert("RGB"))
    dark = (astronaut * 0.25).astype(np.uint8)
    small = Image.fromarray(astronaut).resize((160, 160), Image.Resampling.BOX)
    blurred = np.asarray(small.resize((512, 512), Image.Resampling.BILINEAR))
    for pixels in (grey, dark, blurred):
        faces = finder.find(pixels)
        assert len(faces) == 1
        assert error(faces[0][0], ASTRONAUT) < 0.1


def test_pictures_without_a_face_give_none(finder: FaceFinder) -> None:
    pictures = faceless_samples()
    assert len(pictures) >= 15
    assert [len(finder.find(pixels)) for pixels in pictures] == [0] * len(pictures)


def test_plain_and_noisy_pictures_give_no_face(finder: FaceFinder) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    for pixels in (noise, np.zeros((64, 64, 3), np.uint8), np.full((90, 50, 3), 255, np.uint8)):
        assert finder.find(pixels) == []


def test_a_face_upside_down_is_not_reported(finder: FaceFinder, astronaut: UInt8Image) -> None:
    assert finder.find(np.ascontiguousarray(astronaut[::-1, ::-1])) == []


# --------------------------------------------------------------------------- how it behaves


def test_a_mirrored_photo_gives_mirrored_points(finder: FaceFinder, astronaut: UInt8Image) -> None:
    straight = finder.find(astronaut)[0][0]
    mirrored = finder.find(np.ascontiguousarray(astronaut[:, ::-1]))[0][0]
    back = mirrored[list(MIRRORED)] * (-1, 1) + (511, 0)
    assert error(back, straight) < 0.02
    assert straight[0, 0] < straight[1, 0] and straight[3, 0] < straight[4, 0]
    assert straight[:2, 1].max() < straight[2, 1] < straight[3:, 1].min()


def test_the_same_photo_gives_the_same_points(finder: FaceFinder, astronaut: UInt8Image) -> None:
    first, again = finder.find(astronaut), load_finder().find(astronaut.copy())
    assert [score for _, score in first] == [score for _, score in again]
    for (a, _), (b, _) in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_photo_is_left_as_it_was(finder: FaceFinder, astronaut: UInt8Image) -> None:
    pixels = astronaut.copy()
    finder.find(pixels)
    np.testing.assert_array_equal(pixels, astronaut)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (5, 3), (17, 16), (3, 2000), (2001, 9)])
def test_odd_pictures_give_no_face_and_no_error(finder: FaceFinder, shape: tuple[int, int]) -> None:
    assert finder.find(np.full((*shape, 3), 77, np.uint8)) == []


def test_a_huge_photo_gives_points_in_its_own_pixels(
    finder: FaceFinder, astronaut: UInt8Image
) -> None:
    pixels = np.asarray(Image.fromarray(astronaut).resize((4100, 4099)))
    faces = finder.find(pixels)
    assert len(faces) == 1
    scale = np.array([4100, 4099]) / 512
    assert error((faces[0][0] + 0.5) / scale - 0.5, ASTRONAUT) < 0.08


def test_strided_and_readonly_pixels_are_accepted(
    finder: FaceFinder, astronaut: UInt8Image
) -> None:
    wide = np.repeat(astronaut, 2, axis=1)
    wide.flags.writeable = False
    np.testing.assert_array_equal(finder.find(wide[:, ::2])[0][0], finder.find(astronaut)[0][0])


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_another_shape_or_type_is_named(finder: FaceFinder, pixels: UInt8Image) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        finder.find(pixels)


def test_the_weights_are_about_a_megabyte(finder: FaceFinder) -> None:
    count = sum(p.numel() for n in (finder.detector, finder.refiner) for p in n.parameters())
    assert 2 * count < 1.1e6


# --------------------------------------------------------------------------- geometry


def test_fitting_a_moved_template_gives_the_move_back() -> None:
    a, b = np.array([2 + 1j, -0.3j]), np.array([5 - 2j, 1 + 1j])
    found_a, found_b = fit_template(a[:, None] * TEMPLATE + b[:, None])
    np.testing.assert_allclose(found_a, a)
    np.testing.assert_allclose(found_b, b)


def test_the_refiners_crop_is_centred_and_straight() -> None:
    a, b = 7 * np.exp(0.4j), 30 + 20j
    to_picture = crop_of(complex(a), b)
    seen = (a * TEMPLATE + b - to_picture[1]) / to_picture[0]
    assert abs(seen.mean() - (CROP - 1) * (0.5 + 0.5j)) < 1e-9
    assert abs(seen[1] - seen[0] - CROP_EYES) < 1e-9


def test_a_crop_samples_pixel_centres_at_every_size() -> None:
    y, x = np.mgrid[:256, :256]
    ramp = np.stack([x / 2, y / 2, np.zeros_like(x)], axis=-1).round().astype(np.uint8)
    picture = Reductions(Image.fromarray(ramp))
    for a in (0.5 + 0j, 1 + 0j, 1.5 + 0.5j, 4 - 1j, 5.2 + 0j):
        b = 128 + 128j - a * 9.5 * (1 + 1j)
        crop = np.asarray(picture.crop(a, b, 20)).astype(float)
        rows, columns = np.mgrid[:20, :20]
        z = a * (columns + 1j * rows) + b
        np.testing.assert_allclose(crop[..., 0], z.real / 2, atol=1.0)
        np.testing.assert_allclose(crop[..., 1], z.imag / 2, atol=1.0)


# --------------------------------------------------------------------------- training


def make_portrait(rng: np.random.Generator) -> Portrait:
    """Make a black portrait of 200 px whose points lie around its middle."""
    points = np.concatenate([40 * TEMPLATE, 40 * rng.uniform(-0.6, 0.6, 68)]) + 100 + 80j
    return Portrait("0", "p", (200, 200), Reductions(Image.new("RGB", (200, 200))), points)


def make_folder(folder: Path, faces: int) -> Path:
    """Write a folder laid out as the trainer wants it, with noise for photos."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir(parents=True)
    ids = [f"{i:05d}" for i in range(faces)]
    lines = ["id\tperson"]
    for name in ids:
        noise = rng.integers(0, 256, (160, 150, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "photos" / f"{name}.jpg")
        lines.append(f"{name}\tperson{name}")
    (folder / "index.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    five = 50 * TEMPLATE + 75 + 55j
    all68 = np.concatenate([five, np.repeat(five, 16)[:63]])
    five_xy = np.stack([five.real, five.imag], -1)[None].repeat(faces, 0)
    all68_xy = np.stack([all68.real, all68.imag], -1)[None].repeat(faces, 0)
    np.savez(folder / "landmarks.npz", id=np.array(ids), photo5=five_xy, photo68=all68_xy)
    return folder


def test_nobody_is_both_trained_on_and_held_out(tmp_path: Path) -> None:
    portraits = load_portraits(make_folder(tmp_path, 9))
    twice = portraits + portraits[:3]
    trained, held_out = split_by_person(twice, 4)
    assert {p.person for p in trained}.isdisjoint(p.person for p in held_out)
    assert len({p.person for p in held_out}) == 4
    assert len(trained) + len(held_out) == 12
    assert split_by_person(twice[::-1], 4)[1][::-1] == held_out


def test_mirroring_twice_changes_no_point() -> None:
    np.testing.assert_array_equal(MIRRORED73[MIRRORED73], np.arange(73))


def test_a_canvas_says_where_its_face_is() -> None:
    rng = np.random.default_rng(3)
    portrait = make_portrait(rng)
    backgrounds = Backgrounds([portrait], rng, drawn=3)
    a, b = 0.5 * np.exp(0.2j), 10 + 12j
    mirrored = []
    for _ in range(12):
        placement = Placement(portrait, complex(a), b, (0.0, 0.0, 128.0, 128.0))
        pixels, (face,) = compose([placement], backgrounds, 128, rng, soften=1.0)
        assert pixels.shape == (128, 128, 3) and pixels.dtype == np.uint8
        straight = a * portrait.points + b
        flipped = (127 - straight.conj())[MIRRORED73]
        assert np.allclose(face.points, straight) or np.allclose(face.points, flipped)
        mirrored.append(bool(np.allclose(face.points, flipped)))
        assert face.seen == 5
    assert any(mirrored) and not all(mirrored)


def test_a_broken_face_is_no_face() -> None:
    rng = np.random.default_rng(3)
    portrait = make_portrait(rng)
    placement = Placement(portrait, 0.5 + 0j, 10 + 12j, (0.0, 0.0, 128.0, 128.0), broken=True)
    assert compose([placement], Backgrounds([portrait], rng, drawn=3), 128, rng, 1.0)[1] == []


def test_folding_the_norms_away_changes_nothing() -> None:
    torch.manual_seed(0)
    trained = FaceDetector(normalise=True)
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    plain = FaceDetector()
    plain.load_state_dict(train_finder.folded(trained, plain))
    x = torch.randn(2, 3, 32, 40)
    with torch.no_grad():
        for one, other in zip(trained.eval()(x), plain(x), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_training_goes_on_from_its_checkpoint_and_writes_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = make_folder(tmp_path / "faces", 5), tmp_path / "out"
    fixed = [str(folder), "--out", str(out), "--batch", "2", "--workers", "0"]
    fixed += ["--held-out", "1", "--mistake-pictures", "3", "--again-steps", "1", "--drawn", "4"]
    train_finder.main([*fixed, "--detector-steps", "1", "--refiner-steps", "1"])
    before = torch.load(out / "detector.pt", weights_only=True)
    capsys.readouterr()
    train_finder.main([*fixed, "--detector-steps", "1", "--refiner-steps", "2"])
    said = capsys.readouterr().out
    assert "refiner 2/2" in said and "refiner 1/" not in said
    assert "detector " not in said and "refiner-again" not in said
    after = torch.load(out / "detector.pt", weights_only=True)
    assert before["step"] == after["step"] == 1
    assert torch.load(out / "refiner.pt", weights_only=True)["step"] == 2
    assert (out / "finder.safetensors").stat().st_size < 1.1e6


def test_a_finished_finder_learns_on_and_keeps_a_share_of_what_it_was(tmp_path: Path) -> None:
    folder, out = make_folder(tmp_path / "faces", 5), tmp_path / "out"
    start = Path(finder_module.__file__).parent / "weights" / "finder.safetensors"
    fixed = [str(folder), "--out", str(out), "--batch", "2", "--workers", "0", "--held-out", "1"]
    fixed += ["--mistake-pictures", "3", "--again-steps", "1", "--drawn", "4", "--turned", "2"]
    fixed += ["--detector-steps", "2", "--refiner-steps", "2", "--start", str(start)]
    train_finder.main([*fixed, "--keep", "1.0"])
    before, after = load_file(start), load_file(out / "finder.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    train_finder.main([*fixed, "--keep", "0.5"])
    after = load_file(out / "finder.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_head_turned_aside_is_told_by_its_nose(tmp_path: Path) -> None:
    portraits = load_portraits(make_folder(tmp_path / "faces", 1))
    straight = portraits[0]
    left, right, *rest = straight.points
    aside = np.array([left, right, (left + right) / 2 + 0.4 * (right - left), *rest[1:]])
    assert train_finder.turned(replace(straight, points=aside)) == pytest.approx(0.4)


def test_emblems_are_drawn_and_differ() -> None:
    rng = np.random.default_rng(0)
    one, other = (np.asarray(_emblem(rng, 96)) for _ in range(2))
    assert one.shape == (96, 96, 3)
    assert (one != other).any()
