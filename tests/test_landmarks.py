"""Faces are found by the best means at hand, and the user's own points are always accepted."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from inversion.faces import fan
from inversion.faces.fan import FaceAlignmentUnavailable
from inversion.faces.landmarks import choose_face, describe_faces, find_faces
from inversion.faces.landmarks_file import LandmarksInvalid, read_landmarks
from inversion.faces.no_face import NoFaceFound
from inversion.torch_hub import checkpoints_folder
from stylegan2.arrays import Array
from stylegan2.downloads.known_file import KnownFile
from tests.download_server import Site, serving

# 68 points that lie roughly as in a face 100 pixels wide.
FACE68 = np.zeros((68, 2))
FACE68[:17] = np.stack([np.linspace(0, 100, 17), 40 + 70 * np.sin(np.linspace(0, np.pi, 17))], 1)
FACE68[17:36] = (50, 60)
FACE68[36:42] = [(24, 40), (28, 37), (32, 37), (36, 40), (32, 43), (28, 43)]
FACE68[42:48] = [(64, 40), (68, 37), (72, 37), (76, 40), (72, 43), (68, 43)]
FACE68[48:68] = (50, 85)
FACE68[48], FACE68[54] = (35, 84), (65, 86)
EYES_MOUTH = np.array([(30, 40), (70, 40), (50, 60), (35, 84), (65, 86)], float)


@pytest.fixture(autouse=True)
def _own_weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the network and from what is on this machine."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(fan, "_models", {})
    monkeypatch.setenv("REALDRAG_OFFLINE", "1")


class StubAlignment:
    """The part of face_alignment.FaceAlignment that is used, finding what a test put in faces.

    A face is (box in pixels of the whole photo, FACE68 stretched over that box); the stub is told
    the size of the photo so that it can answer for whatever copy it is given.
    """

    faces: ClassVar[list[Array]] = []
    photo_size = (0, 0)
    seen: ClassVar[list[tuple[int, ...]]] = []
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, kind: Any, **options: Any) -> None:
        type(self).options = {"kind": kind, **options}
        self.face_detector = self

    def detect_from_image(self, image: Array) -> list[Array]:
        self.seen.append(image.shape)
        scale = np.array(image.shape[1::-1] * 2) / (self.photo_size * 2)
        return [np.append((box + 0.5) * scale - 0.5, 0.9) for box in self.faces]

    def get_landmarks_from_image(self, image: Array, detected_faces: list[Array]) -> list[Array]:
        self.seen.append(image.shape)
        x0, y0, x1, y1 = detected_faces[0][:4]
        return [FACE68 / 100 * (x1 - x0, y1 - y0) + (x0, y0)]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[StubAlignment]:
    """Stand in for the library, its weights present."""
    StubAlignment.faces, StubAlignment.seen, StubAlignment.options = [], [], {}
    module = types.ModuleType("face_alignment")
    module.FaceAlignment = StubAlignment  # type: ignore[attr-defined]
    module.LandmarksType = types.SimpleNamespace(TWO_D="2d")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    monkeypatch.setattr(fan, "_obtain", lambda folder, on_progress: None)
    return StubAlignment


def offline_finder(monkeypatch: pytest.MonkeyPatch, found: list[tuple[Array, float]]) -> None:
    module = types.ModuleType("inversion.faces.finder")
    module.load_finder = lambda: types.SimpleNamespace(find=lambda pixels, closely: found)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inversion.faces.finder", module)


def test_landmarks_come_back_in_pixels_of_the_whole_photo(library: type[StubAlignment]) -> None:
    box = np.array([1400.0, 600.0, 1800.0, 1100.0])
    library.faces, library.photo_size = [box], (3000, 2000)
    found = find_faces(np.zeros((2000, 3000, 3), np.uint8), "face-alignment")
    (face,) = found.faces
    expected = FACE68 / 100 * (400, 500) + (1400, 600)
    assert face.landmarks68 is not None
    assert np.abs(face.landmarks68 - expected).max() < 0.01
    assert np.allclose(face.eyes_mouth, EYES_MOUTH / 100 * (400, 500) + (1400, 600), atol=0.01)
    assert np.allclose(face.box, box)
    assert (face.source, face.score, found.notices) == ("face-alignment", 0.9, ())


def test_faces_are_looked_for_in_a_small_copy_of_a_large_photo(
    library: type[StubAlignment],
) -> None:
    library.faces, library.photo_size = [np.array([10.0, 10.0, 60.0, 70.0])], (4000, 1000)
    find_faces(np.zeros((1000, 4000, 3), np.uint8), "face-alignment")
    assert library.seen[0] == (256, 1024, 3)
    assert max(library.seen[1]) < 1024


def test_the_library_runs_on_the_device_given_without_compiling(
    library: type[StubAlignment],
) -> None:
    library.faces, library.photo_size = [np.array([10.0, 10.0, 60.0, 70.0])], (100, 100)
    torch.backends.cudnn.benchmark = False
    find_faces(np.zeros((100, 100, 3), np.uint8), "face-alignment", device="cpu")
    assert library.options["device"] == "cpu"
    assert library.options["compile"] is False
    assert library.options["flip_input"] is False
    detector = library.options["face_detector_kwargs"]["path_to_detector"]
    assert detector.endswith("s3fd-619a316812.pth")


def test_the_largest_face_comes_first_and_the_others_can_be_chosen(
    library: type[StubAlignment],
) -> None:
    small, large = np.array([10.0, 10, 40, 40]), np.array([100.0, 50, 200, 170])
    library.faces, library.photo_size = [small, large], (300, 200)
    faces = find_faces(np.zeros((200, 300, 3), np.uint8), "face-alignment").faces
    assert choose_face(faces, None) is faces[0]
    assert np.allclose(choose_face(faces, 1).box, large)
    assert np.allclose(choose_face(faces, 2).box, small)
    for wrong in (0, 3, -1):
        with pytest.raises(NoFaceFound, match=r"face 1 at \(150, 110\), 100 x 120 pixels; face 2"):
            choose_face(faces, wrong)
    assert "face 2 at (25, 25), 30 x 30 pixels" in describe_faces(faces)


def test_a_picture_without_a_face_says_what_can_be_done(library: type[StubAlignment]) -> None:
    library.photo_size = (50, 40)
    with pytest.raises(NoFaceFound, match=r"--landmarks FILE.*--align none"):
        find_faces(np.zeros((40, 50, 3), np.uint8), "face-alignment")


def test_without_weights_the_offline_finder_takes_over_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = EYES_MOUTH.astype(np.float32) + 200
    offline_finder(monkeypatch, [(EYES_MOUTH.astype(np.float32), 0.8), (far * 2, 0.7)])
    found = find_faces(np.zeros((100, 100, 3), np.uint8), "auto")
    assert found.source == "finder"
    assert [face.score for face in found.faces] == [0.7, 0.8]
    assert np.allclose(found.faces[1].eyes_mouth, EYES_MOUTH)
    x0, y0, x1, y1 = found.faces[1].box
    assert x0 < 30 and x1 > 70 and y0 < 40 and y1 > 90
    (notice,) = found.notices
    assert "approximately" in notice
    assert "realdrag doctor" in notice and "http" not in notice


def test_the_offline_finder_asked_for_needs_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    offline_finder(monkeypatch, [(EYES_MOUTH, 0.8)])
    assert find_faces(np.zeros((100, 100, 3), np.uint8), "offline").notices == ()


def test_face_alignment_asked_for_without_weights_is_an_error() -> None:
    with pytest.raises(FaceAlignmentUnavailable, match=r"unset REALDRAG_OFFLINE, or put https"):
        find_faces(np.zeros((100, 100, 3), np.uint8), "face-alignment")


def test_a_library_that_cannot_be_imported_is_replaced_too(
    library: type[StubAlignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    offline_finder(monkeypatch, [(EYES_MOUTH, 0.8)])
    found = find_faces(np.zeros((100, 100, 3), np.uint8), "auto")
    assert found.source == "finder"
    assert "realdrag doctor" in found.notices[0]
    with pytest.raises(FaceAlignmentUnavailable, match="cannot be imported"):
        find_faces(np.zeros((100, 100, 3), np.uint8), "face-alignment")


# ---- the weights


@pytest.fixture
def site(downloads: None) -> Iterator[Site]:
    with serving(Site()) as site:
        yield site


def serve(site: Site, monkeypatch: pytest.MonkeyPatch, **content: bytes) -> None:
    """Let the library's two files come from the local server."""
    files = []
    for constant, body in content.items():
        name = getattr(fan, constant).name
        site.files[name] = body
        files.append(KnownFile(f"{site.url}{name}", hashlib.sha256(body).hexdigest(), 1))
    monkeypatch.setattr(fan, "WEIGHTS", tuple(files))


def weights() -> list[str]:
    """Return the files that lie in the library's folder."""
    return sorted(p.name for p in checkpoints_folder().iterdir() if p.suffix != ".lock")


def test_weights_are_fetched_once_whole_and_with_progress(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(site, monkeypatch, DETECTOR_WEIGHTS=b"d" * 900_000, LANDMARK_WEIGHTS=b"l" * 700_000)
    progress: list[tuple[str, int, int | None]] = []
    for _ in range(2):
        fan._obtain(checkpoints_folder(), lambda *told: progress.append(told))
    names = [fan.DETECTOR_WEIGHTS.name, fan.LANDMARK_WEIGHTS.name]
    assert site.asked == names and weights() == sorted(names)
    assert (names[0], 900_000, 900_000) in progress
    assert progress[-1] == (names[1], 700_000, 700_000)


def test_a_download_of_weights_goes_on_where_it_broke_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(site, monkeypatch, DETECTOR_WEIGHTS=b"d" * 5000, LANDMARK_WEIGHTS=b"l" * 5000)
    site.cuts = [2000]
    fan._obtain(checkpoints_folder(), None)
    assert [request.get("range") for request in site.requests] == [None, "bytes=2000-", None]


def test_a_damaged_file_on_disk_is_fetched_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(site, monkeypatch, DETECTOR_WEIGHTS=b"d" * 5000, LANDMARK_WEIGHTS=b"l" * 5000)
    folder = checkpoints_folder()
    folder.mkdir(parents=True)
    (folder / fan.DETECTOR_WEIGHTS.name).write_bytes(b"d" * 4999)
    (folder / fan.LANDMARK_WEIGHTS.name).write_bytes(b"l" * 5000)
    fan._obtain(folder, None)
    assert site.asked == [fan.DETECTOR_WEIGHTS.name]
    assert (folder / fan.DETECTOR_WEIGHTS.name).read_bytes() == b"d" * 5000


def test_other_bytes_leave_nothing_and_a_later_download_succeeds(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(site, monkeypatch, DETECTOR_WEIGHTS=b"d" * 5000, LANDMARK_WEIGHTS=b"l" * 5000)
    site.files[fan.DETECTOR_WEIGHTS.name] = b"not the weights"
    with pytest.raises(FaceAlignmentUnavailable, match="not the known file"):
        fan._obtain(checkpoints_folder(), None)
    assert weights() == []
    site.files[fan.DETECTOR_WEIGHTS.name] = b"d" * 5000
    fan._obtain(checkpoints_folder(), None)
    assert len(weights()) == 2


def test_the_real_library_loads_what_was_fetched_and_finds_no_face_in_grey(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes longer than all else here
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    def zeros(network: torch.nn.Module) -> bytes:
        # Expanded zeros: files of the right names and shapes that take no room.
        state = {}
        for name, tensor in network.state_dict().items():
            state[name] = torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
            if name.endswith("conf.bias"):
                state[name] = torch.tensor([0.0] * (len(tensor) - 1) + [-50.0])  # no face
        stream = io.BytesIO()
        torch.save(state, stream)
        return stream.getvalue()

    serve(site, monkeypatch, DETECTOR_WEIGHTS=zeros(s3fd()), LANDMARK_WEIGHTS=zeros(FAN(4)))
    grey = np.full((160, 140, 3), 128, np.uint8)
    with pytest.raises(NoFaceFound):
        find_faces(grey, "face-alignment")

    # With a box given, an empty heatmap puts every point into the first of the 64 x 64 cells of
    # the library's crop, whose side is 200/195 of the box's two sides together.
    model = fan._models[checkpoints_folder(), "cpu"]
    box = np.array([40.0, 50.0, 70.0, 90.0, 1.0])
    monkeypatch.setattr(model.face_detector, "detect_from_image", lambda image: [box])
    (face,) = fan.find_landmarks(grey, "cpu")
    side = 200 / 195 * (30 + 40)
    corner = np.array([55, 70 - 0.12 * 40]) - side / 2
    assert face.points.shape == (68, 2)
    assert np.abs(face.points - (corner + 0.5 * side / 64)).max() < 0.5


# ---- the user's own points


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_eyes_and_mouth_are_read_whatever_the_order_of_each_pair(tmp_path: Path) -> None:
    left, right, _, corner_left, corner_right = EYES_MOUTH.tolist()
    for eyes in ([left, right], [right, left]):
        for mouth in ([corner_left, corner_right], [corner_right, corner_left]):
            path = write(tmp_path / "points.json", {"eyes": eyes, "mouth": mouth})
            face = read_landmarks(path)
            assert np.allclose(face.eyes_mouth[[0, 1, 3, 4]], EYES_MOUTH[[0, 1, 3, 4]])
            assert face.source == "file"


def test_the_order_is_told_right_in_a_face_that_lies_on_its_side_or_head(tmp_path: Path) -> None:
    for turn in ([[0, -1], [1, 0]], [[-1, 0], [0, -1]]):
        moved = EYES_MOUTH @ np.array(turn).T
        content = {"eyes": moved[[1, 0]].tolist(), "mouth": moved[[3, 4]].tolist()}
        face = read_landmarks(write(tmp_path / "points.json", content))
        assert np.allclose(face.eyes_mouth[[0, 1, 3, 4]], moved[[0, 1, 3, 4]])


def test_a_nose_may_be_given(tmp_path: Path) -> None:
    content = {"eyes": [[30, 40], [70, 40]], "mouth": [[35, 84], [65, 86]], "nose": [51, 66]}
    face = read_landmarks(write(tmp_path / "points.json", content))
    assert face.eyes_mouth[2].tolist() == [51, 66]


def test_68_points_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "points.json", {"landmarks": FACE68.tolist()})
    face = read_landmarks(path)
    assert face.landmarks68 is not None and np.allclose(face.landmarks68, FACE68)
    assert np.allclose(face.eyes_mouth, EYES_MOUTH)
    assert face.box == (0.0, 37.0, 100.0, 110.0)


EYES, MOUTH = [[30, 40], [70, 40]], [[35, 84], [65, 86]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "object"),
        ({"eyes": EYES}, "its keys are eyes"),
        ({"eyes": EYES, "mouth": MOUTH, "ears": []}, "its keys are ears, eyes, mouth"),
        ({"eyes": EYES[:1], "mouth": MOUTH}, '"eyes" must be a list of 2'),
        ({"eyes": [[30, 40], [70]], "mouth": MOUTH}, 'point 2 of "eyes"'),
        ({"eyes": [[30, 40], [70, "40"]], "mouth": MOUTH}, 'point 2 of "eyes"'),
        ({"eyes": [[30, True], [70, 40]], "mouth": MOUTH}, 'point 1 of "eyes"'),
        ('{"eyes": [[30, NaN], [70, 40]], "mouth": [[35, 84], [65, 86]]}', 'point 1 of "eyes"'),
        ('{"eyes": [[30, Infinity], [7, 4]], "mouth": [[35, 84], [65, 86]]}', "point 1"),
        ({"eyes": [[30, 40], [30, 40]], "mouth": MOUTH}, "less than a pixel apart"),
        ({"eyes": [[50, 40], [50, 80]], "mouth": [[50, 84], [50, 86]]}, "do not lie as"),
        ({"landmarks": FACE68[:5].tolist()}, "list of 68"),
        ({"landmarks": (FACE68 * (-1, 1)).tolist()}, "mirrored"),
    ],
)
def test_a_file_that_does_not_say_where_the_face_is_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = write(tmp_path / "points.json", content)
    with pytest.raises(LandmarksInvalid, match=message) as caught:
        read_landmarks(path)
    assert "points.json" in str(caught.value)


def test_a_missing_landmarks_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LandmarksInvalid, match=r"none\.json"):
        read_landmarks(tmp_path / "none.json")
