"""Networks whose pictures are not square (StyleGAN-Human's begin with [C, 4, 2]), all the way."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from drag.config import DragConfig
from drag.points import DragPoint
from drag.session import DragSession
from inversion.faces.alignment import align_none
from inversion.projection import noise_regularization
from pipeline.disk.workspace import Workspace
from pipeline.failures import OK
from pipeline.jobs.film import film as make_film
from pipeline.machine.bench import Bench
from pipeline.picture.brush import plain_motion
from pipeline.picture.composite import paste_back
from pipeline.picture.face_motion import face_motion
from pipeline.picture.warp import warp
from stylegan2.arrays import UInt8Image
from stylegan2.checkpoint import WeightsInvalid, load_generator, save_generator
from stylegan2.formats.convert import load_network
from stylegan2.formats.export import export_network
from stylegan2.generator import Generator, GeneratorConfig
from stylegan2.latents import to_ws
from stylegan2.partial import features_at, frozen
from stylegan2.windows import Window, WindowedFeatures
from tests import checkpoint_makers as make
from tests import literal_layouts, literal_stylegan2
from tests.conftest import Run
from tests.factories import tiny_generator
from tests.pipeline_cases import QUICK_STEPS, Case, make_photo
from tests.studio_server import QUICK, make_up_faces, photo_bytes, running_studio

TALL, WIDE = (4, 2), (2, 4)
FIRST_BLOCKS = pytest.mark.parametrize("first", [TALL, WIDE, (3, 4)], ids=str)
CONFIG = GeneratorConfig(
    16, z_dim=8, w_dim=8, mapping_layers=2, channels=(6, 5, 4), first_block=TALL
)


def a_ws(generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(4))
    w = generator.mapping(z.to(generator.mapping.w_avg.dtype))
    return to_ws(w, generator.num_ws).to(dtype)


def textured(height: int, width: int, seed: int = 0) -> UInt8Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


# ---------------------------------------------------------------------------------------------
# The network


@FIRST_BLOCKS
def test_pictures_have_the_first_blocks_shape_and_the_literal_networks_values(
    first: tuple[int, int],
) -> None:
    generator = tiny_generator(32, channel_max=6, first_block=first).double()
    assert generator.size == (8 * first[0], 8 * first[1])
    tensors = {name: tensor.double() for name, tensor in generator.state_dict().items()}
    ws = a_ws(generator, torch.float64)
    noises = generator.synthesis.noise_consts()
    wanted, _ = literal_stylegan2.synthesis(tensors, ws, noises)
    picture = generator.synthesis(ws)
    assert picture.shape == (1, 3, *generator.config.shape)
    torch.testing.assert_close(picture, wanted, rtol=1e-9, atol=1e-9)
    random = generator.synthesis(ws, noise_mode="random", rng=torch.Generator().manual_seed(0))
    assert random.shape == picture.shape and not torch.equal(random, picture)


def test_the_shape_is_read_off_the_weights_and_survives_storing(tmp_path: Path) -> None:
    generator = tiny_generator(32, first_block=TALL)
    save_generator(generator, tmp_path / "a.safetensors")
    export_network(generator, tmp_path / "b.safetensors", "nvidia")
    for name in ("a", "b"):
        loaded = load_generator(tmp_path / f"{name}.safetensors")
        assert loaded.config == generator.config
        torch.testing.assert_close(
            loaded.synthesis(a_ws(loaded)), generator.synthesis(a_ws(generator))
        )


@pytest.mark.parametrize("shape", [(8, 4), (4, 1), (3, 3)])
def test_a_first_block_of_another_kind_is_refused_with_its_size(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    tensors = make.random_tensors()
    tensors["synthesis.b4.const"] = torch.randn(6, *shape)
    path = make.write(tmp_path, "n.pkl", make.ada_pickle(tensors))
    with pytest.raises(WeightsInvalid, match=f"it is {shape[0]} high and {shape[1]} wide"):
        load_network(path)


@pytest.mark.parametrize("layout", ["ada", "pti", "tensorflow", "rosinality", "psp"])
def test_every_layout_holds_tall_networks(tmp_path: Path, layout: str) -> None:
    ws = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if layout in ("ada", "pti"):
        tensors = make.random_tensors(CONFIG)
        content = make.ada_pickle(tensors) if layout == "ada" else make.pti_file(tensors)
        double = {name: tensor.double() for name, tensor in tensors.items()}
        noises = {
            name.removeprefix("synthesis.").removesuffix(".noise_const"): tensor
            for name, tensor in double.items()
            if name.endswith("noise_const")
        }
        wanted, _ = literal_stylegan2.synthesis(double, ws, noises)
    elif layout == "tensorflow":
        variables = make.tensorflow_variables(CONFIG)
        content = make.tensorflow_pickle(variables)
        double = {name: torch.from_numpy(each).double() for name, each in variables.items()}
        wanted = literal_layouts.tensorflow_synthesis(double, ws)
    else:
        state = make.rosinality_tensors(CONFIG)
        mean = torch.randn(8, generator=torch.Generator().manual_seed(2))
        content = (
            make.psp_file(state, mean) if layout == "psp" else make.rosinality_file(state, mean)
        )
        double = {name: tensor.double() for name, tensor in state.items()}
        wanted = literal_layouts.rosinality_synthesis(double, ws)
    generator = load_network(make.write(tmp_path, "network", content))
    assert generator.size == (16, 8)
    torch.testing.assert_close(generator.double().synthesis(ws), wanted, rtol=1e-6, atol=1e-6)


def test_noise_that_a_tall_rosinality_file_lacks_is_made_in_its_shape(tmp_path: Path) -> None:
    state = {
        name: tensor
        for name, tensor in make.rosinality_tensors(CONFIG).items()
        if not name.startswith("noises.")
    }
    generator = load_network(make.write(tmp_path, "n.pt", make.rosinality_file(state, None)))
    assert generator.synthesis.noise_consts()["b16.conv1"].shape == (16, 8)


@FIRST_BLOCKS
def test_every_window_holds_the_pixels_of_the_whole_map_and_its_gradients(
    first: tuple[int, int],
) -> None:
    generator = frozen(tiny_generator(32, channel_max=6, first_block=first).double())
    ws = a_ws(generator, torch.float64)
    height, width = generator.config.block_shape(16)
    whole = features_at(generator, ws.requires_grad_(), None, 16).features
    for window in (
        Window(0, 0, 3, 2),
        Window(width - 2, height - 3, width, height),
        Window(width // 2, height // 2, width // 2 + 1, height // 2 + 1),
        Window(0, 0, width, height),
    ):
        found = WindowedFeatures(generator, ws.detach(), None, 16, [window])
        expected = whole[..., window.top : window.bottom, window.left : window.right]
        torch.testing.assert_close(found.features[0], expected.detach(), rtol=1e-10, atol=1e-10)
        weights = torch.randn(expected.shape, dtype=torch.float64)
        (wanted,) = torch.autograd.grad((expected * weights).sum(), ws, retain_graph=True)
        rows = torch.zeros(1, dtype=torch.long)
        pulled = found.pull(1, [(rows, weights)], generator.num_ws)
        torch.testing.assert_close(pulled, wanted, rtol=1e-8, atol=1e-8)
    with pytest.raises(ValueError, match=f"map of {width} x {height} pixels"):
        WindowedFeatures(generator, ws.detach(), None, 16, [Window(0, 0, width + 1, 2)])


def test_noise_is_regularised_at_every_scale_whatever_its_shape() -> None:
    rng = torch.Generator().manual_seed(0)
    noises = [torch.randn(4 << i, 2 << i, generator=rng).double() for i in (0, 1, 1, 2, 3)]

    def literal(noise: Tensor) -> float:
        total = 0.0
        while True:
            for dim in (0, 1):
                total += float((noise * noise.roll(1, dim)).mean()) ** 2
            if max(noise.shape) <= 8:
                return total
            noise = (noise[::2] + noise[1::2]) / 2
            noise = (noise[:, ::2] + noise[:, 1::2]) / 2

    alone = sum(literal(noise) for noise in noises)
    assert float(noise_regularization(noises)) == pytest.approx(alone, rel=1e-9)


# ---------------------------------------------------------------------------------------------
# The picture


@pytest.mark.parametrize(
    ("photo", "size", "left", "top", "width", "height"),
    [
        ((100, 100), (64, 32), 25, 0, 50, 100),
        ((101, 30), (64, 32), -10, 0, 51, 102),
        ((40, 90), (32, 64), 0, -2, 90, 45),
        ((90, 40), (64, 48), -14, 0, 69, 92),
    ],
)
def test_a_picture_taken_as_it_is_fits_along_the_longer_side(
    photo: tuple[int, int], size: tuple[int, int], left: int, top: int, width: int, height: int
) -> None:
    pixels = textured(*photo)
    aligned = align_none(pixels, size)
    assert aligned.image.shape == (*size, 3)
    low, high = aligned.quad[0] + 0.5, aligned.quad[2] + 0.5
    assert tuple(high - low) == (width, height)
    assert abs(low[0] - left) <= 1 and abs(low[1] - top) <= 1
    assert height * size[1] == width * size[0], "its pixels stay square"


def test_a_picture_of_the_networks_own_size_stays_as_it_is() -> None:
    pixels = textured(64, 32)
    assert np.array_equal(align_none(pixels, (64, 32)).image, pixels)


@FIRST_BLOCKS
def test_content_at_a_handle_is_at_its_target_afterwards(first: tuple[int, int]) -> None:
    size = (32 * first[0], 32 * first[1])
    picture = textured(*size)
    middle = size[1] / 2, size[0] / 2
    point = DragPoint(middle, (middle[0] + 6.0, middle[1] - 5.0))
    for motion in (plain_motion([point], size), face_motion(picture, picture, [point])):
        way = motion.at(np.array([point.target]), size)[0]
        assert way == pytest.approx([-6.0, 5.0], abs=0.1)
        quad = align_none(picture, size).quad
        moved = warp(picture, quad, motion)
        x, y = (round(v) for v in point.target)
        own = picture[round(middle[1]), round(middle[0])].astype(int)
        assert np.abs(moved[y, x].astype(int) - own).max() <= 12


def test_a_mask_of_a_tall_picture_is_a_wall() -> None:
    picture = textured(128, 64)
    movable = np.zeros((128, 64), np.bool_)
    movable[32:96, 8:56] = True
    motion = plain_motion([DragPoint((32.0, 64.0), (40.0, 60.0))], (128, 64), movable)
    moved = warp(picture, align_none(picture, (128, 64)).quad, motion)
    assert np.array_equal(moved[~movable], picture[~movable])
    assert not np.array_equal(moved, picture)


def test_pasting_a_tall_crop_changes_nothing_beside_it() -> None:
    photo = textured(200, 160)
    quad = np.array([[49.5, 29.5], [49.5, 157.5], [113.5, 157.5], [113.5, 29.5]])
    tuned = photo[30:158, 50:114]
    edited = tuned.copy()
    edited[40:80, 20:44] = 255 - edited[40:80, 20:44]
    result = paste_back(photo, quad, tuned, edited)
    outside = np.ones((200, 160), np.bool_)
    outside[30:158, 50:114] = False
    assert np.array_equal(result[outside], photo[outside])
    inside = result[80:100, 78:88].astype(int) - (255 - photo[80:100, 78:88].astype(int))
    assert np.abs(inside).mean() < 12, "what is new is there, at its place"


# ---------------------------------------------------------------------------------------------
# A drag


def turned_over(generator: Generator) -> Generator:
    """The network whose pictures are the other one's with rows and columns exchanged."""
    config = dataclasses.replace(generator.config, first_block=generator.config.first_block[::-1])
    other = Generator(config).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        own = other.state_dict()[name]
        is_map = name.endswith(("const", "noise_const")) or tensor.ndim == 4
        own.copy_(tensor.transpose(-1, -2) if is_map else tensor)
    return other


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "config", [DragConfig(steps=6), DragConfig(method="draggan", steps=6, learning_rate=0.02)]
)
def test_a_drag_on_a_wide_network_is_that_on_a_tall_one_turned_over(
    config: DragConfig, masked: bool
) -> None:
    tall = tiny_generator(64, first_block=TALL)
    movable = torch.ones(64, 32, dtype=torch.bool)
    movable[:20] = False
    (x, y), (to_x, to_y) = (14.0, 50.0), (18.0, 47.0)
    found = []
    for generator, point, mask in (
        (tall, DragPoint((x, y), (to_x, to_y)), movable),
        (turned_over(tall), DragPoint((y, x), (to_y, to_x)), movable.t()),
    ):
        ws = a_ws(generator)
        session = DragSession(generator, ws, None, [point], config, mask if masked else None)
        steps = list(session.run())
        found.append((steps, session.picture()))
    (steps, picture), (other_steps, other_picture) = found
    if config.method == "draggan":
        assert float((picture - other_picture.transpose(2, 3)).abs().mean()) < 0.01
        for one, other in zip(steps, other_steps, strict=True):
            assert one.handles[0] == pytest.approx(other.handles[0][::-1], abs=0.05)
        return
    for each in (steps, other_steps):  # newton's random probes are drawn row by row
        distances = [step.distances[0] for step in each]
        assert min(distances) < 0.8 * math.dist((x, y), (to_x, to_y))


def test_points_and_masks_beside_a_tall_picture_are_refused() -> None:
    generator = tiny_generator(64, first_block=TALL)
    beside = DragPoint((40.0, 50.0), (18.0, 47.0))
    with pytest.raises(ValueError, match="outside the picture of 32 x 64 pixels"):
        DragSession(generator, a_ws(generator), None, [beside])
    inside = DragPoint((14.0, 50.0), (18.0, 47.0))
    turned = torch.ones(32, 64, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"bool \[64, 32\]"):
        DragSession(generator, a_ws(generator), None, [inside], None, turned)


# ---------------------------------------------------------------------------------------------
# The whole way


@pytest.fixture
def tall(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A folder with a tall network, a photo that is wider than it, points and a mask."""
    monkeypatch.chdir(tmp_path)
    save_generator(tiny_generator(64, first_block=TALL), tmp_path / "tall.safetensors")
    mask = np.zeros((90, 60), np.uint8)
    mask[20:70, 15:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    points = {
        "version": 1,
        "space": "photo",
        "points": [{"handle": [30, 40], "target": [34, 44]}],
        "mask": "mask.png",
    }
    (tmp_path / "points.json").write_text(json.dumps(points))
    return Case(
        tmp_path,
        make_photo(tmp_path / "photo.png", size=(60, 90)),
        tmp_path / "tall.safetensors",
        tmp_path / "points.json",
    )


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            found[path.stem] = image.size
    return found


def test_a_photo_goes_all_the_way_through_a_tall_network(tall: Case, run: Run) -> None:
    quick = ["--perceptual", "offline", "--device", "cpu", *QUICK_STEPS["invert"]]
    inverted = run(["invert", str(tall.photo), "--network", str(tall.network), *quick])
    assert inverted.code == OK
    assert "the middle 45 x 90 can be dragged" in inverted.err
    assert run(tall.tune()).code == OK
    for paste in ("photo", "network"):
        assert run(tall.drag("--paste", paste)).code == OK
        found = sizes(tall.workspace)
        assert found["aligned"] == found["inverted"] == found["tuned"] == (32, 64)
        assert found["result"] == (60, 90)
        with Image.open(tall.workspace / "result.png") as image:
            result = np.asarray(image.convert("RGB"))
        with Image.open(tall.photo) as image:
            photo = np.asarray(image.convert("RGB"))
        assert not np.array_equal(result, photo)
        mask = np.zeros((90, 60), np.bool_)
        mask[19:71, 14:51] = True
        if paste == "photo":
            assert np.array_equal(result[~mask], photo[~mask])
    target = tall.folder / "tuned.safetensors"
    assert run(["models", "export", str(target)]).code == OK
    assert load_generator(target).size == (64, 32)
    film = tall.folder / "film.gif"
    for _ in make_film(Workspace(tall.workspace), Bench("cpu"), "gif", True, film):
        pass
    with Image.open(film) as image:
        assert image.height > image.width


def test_points_beside_what_can_be_dragged_are_told_its_limits(tall: Case, run: Run) -> None:
    points = {"version": 1, "space": "photo", "points": [{"handle": [2, 40], "target": [9, 44]}]}
    tall.points.write_text(json.dumps(points))
    edit = ["edit", str(tall.photo), "--network", str(tall.network), "--points", str(tall.points)]
    refused = run([*edit, "--perceptual", "offline", "--device", "cpu"])
    assert refused.code != OK
    assert "outside the face crop" in refused.err and "x from -0.5 to 31.5" in refused.err


def test_the_studio_shows_a_tall_networks_face_in_its_shape(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_up_faces(monkeypatch)
    save_generator(tiny_generator(64, first_block=TALL), tmp_path / "tall.safetensors")
    with running_studio(tmp_path / "photos", tmp_path / "tall.safetensors") as server:
        ident = server.upload(photo_bytes())
        server.ok("PUT", f"/{ident}/settings", QUICK)
        server.ok("POST", f"/{ident}/prepare", {"align": "none"})
        face = server.idle(ident)["face"]
        assert (face["width"], face["height"]) == (32, 64)
        mask = io.BytesIO()
        Image.new("L", (32, 64), 255).save(mask, format="PNG")
        answer = server.client.put(f"/api/workspaces/{ident}/mask", content=mask.getvalue())
        assert answer.status_code < 300, answer.text
