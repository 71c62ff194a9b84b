"""Names and places that people really have: long names, files in the way, pipes, folders gone."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inversion.faces.landmarks_file import LandmarksInvalid, read_landmarks
from pipeline.disk.storage import StorageFailed, replace_file, writing
from pipeline.disk.workspace import Workspace, WorkspaceInvalid
from pipeline.failures import BAD_INPUT, MACHINE, OK
from pipeline.jobs.claim import claim
from pipeline.progress import follow
from pipeline.settings.recipe import AlignConfig
from stylegan2.directions import DirectionsInvalid
from stylegan2.formats.convert import WeightsInvalid, load_network
from stylegan2.formats.direction_files import read_directions
from stylegan2.formats.latents import LatentsInvalid, read_latents
from tests.conftest import Run
from tests.pipeline_cases import Case


def claimed(photo: Path, parent: Path, folder: Path | None = None) -> Workspace:
    found = follow(claim(photo, parent, folder), lambda event: None)
    with found.held:
        return found.workspace


@pytest.mark.parametrize("letter", ["a", "é", "写", "🙂"])
def test_a_photo_with_the_longest_name_has_a_workspace(
    case: Case, tmp_path: Path, letter: str
) -> None:
    stem = letter * (250 // len(letter.encode()))
    photos = [tmp_path / f"{stem}.jpg", tmp_path / f"{stem}.jpeg"]
    for number, photo in enumerate(photos):
        shutil.copy(case.photo, photo)
        with photo.open("ab") as file:
            file.write(bytes(number + 1))  # other photos, of one shortened name
    places = [claimed(photo, tmp_path).folder for photo in photos]
    assert len(set(places)) == 2
    assert [claimed(photo, tmp_path).folder for photo in photos] == places
    assert all(place.name.isprintable() for place in places)


def test_a_file_that_is_called_like_a_workspace_is_passed_over(case: Case, tmp_path: Path) -> None:
    photo = tmp_path / "photo.realdrag"
    shutil.copy(case.photo, photo)
    assert claimed(photo, tmp_path).folder == tmp_path / "photo-2.realdrag"
    with pytest.raises(WorkspaceInvalid, match="is a file: choose another workspace"):
        claimed(photo, tmp_path, folder=photo)


def test_a_place_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name, words in (
        ("gone/a.json", "is not there: make it"),
        ("file/a.json", "is a file: choose another place"),
        ("a" * 300, "take a shorter one"),
    ):
        with pytest.raises(StorageFailed, match=words), writing(tmp_path):
            replace_file(tmp_path / name, b"content")


@pytest.mark.parametrize("name", ["workspace.json", "lock.json", "result.png"])
def test_a_folder_called_like_a_file_of_a_workspace_is_named_or_set_aside(
    run: Run, finished: Case, name: str
) -> None:
    (finished.workspace / name).unlink(missing_ok=True)
    (finished.workspace / name).mkdir()
    result = run(finished.drag("-w", str(finished.workspace)))
    if name == "workspace.json":
        assert result.code == OK and "it is a folder; it was moved to damaged" in result.err
    else:
        assert result.code == MACHINE and "a folder is called like a file" in result.err


@pytest.mark.parametrize("name", ["artifacts", "damaged"])
def test_a_file_called_like_a_folder_of_a_workspace_is_named(
    run: Run, finished: Case, name: str
) -> None:
    folder = finished.workspace / name
    if name == "artifacts":
        shutil.rmtree(folder)
    else:
        next(finished.workspace.glob("artifacts/drag-*/manifest.json")).write_bytes(b"{")
    folder.write_bytes(b"x")
    result = run(finished.invert() if name == "artifacts" else finished.drag())
    assert result.code == MACHINE and "a file is called like a folder" in result.err


def test_endlessly_nested_json_is_damage_like_any_other(
    run: Run, finished: Case, tmp_path: Path
) -> None:
    for path in (finished.workspace / "workspace.json", tmp_path / "landmarks.json"):
        path.write_text("[" * 100_000)
    result = run(finished.drag("-w", str(finished.workspace)))
    assert result.code == OK and "workspace.json is damaged" in result.err
    with pytest.raises(LandmarksInvalid, match="is not JSON"):
        read_landmarks(tmp_path / "landmarks.json")


Read = Callable[[Path], object]

READERS: dict[str, tuple[Read, type[Exception]]] = {
    "network": (load_network, WeightsInvalid),
    "directions": (read_directions, DirectionsInvalid),
    "latents": (lambda path: read_latents(path, 6, 8), LatentsInvalid),
    "landmarks": (read_landmarks, LandmarksInvalid),
}


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """Make a pipe; whoever waits for it is let go in the end."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes with a name here")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.parametrize("kind", READERS)
def test_a_pipe_is_not_waited_for(pipe: Path, kind: str) -> None:
    read, expected = READERS[kind]
    said: list[BaseException] = []

    def attempt() -> None:
        try:
            read(pipe)
        except Exception as error:
            said.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits"
    assert isinstance(said[0], expected) and "not a file" in str(said[0])


def test_a_picture_where_latents_are_expected_is_told_so(case: Case) -> None:
    with pytest.raises(LatentsInvalid, match=r"it is no \.npy, \.npz or \.pt file"):
        read_latents(case.photo, 6, 8)
    with pytest.raises(DirectionsInvalid, match=r"it is no \.npy, \.npz or \.pt file"):
        read_directions(case.photo)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--align", "none", "--face", "1"], "choose one"),
        (["--align", "none", "--landmarks", "LANDMARKS"], "which face"),
        (["--face", "1", "--landmarks", "LANDMARKS"], "choose one"),
    ],
)
def test_what_contradicts_itself_about_the_face_is_refused(
    run: Run, case: Case, tmp_path: Path, options: list[str], words: str
) -> None:
    landmarks = tmp_path / "landmarks.json"
    landmarks.write_text('{"eyes": [[20, 20], [40, 20]], "mouth": [[24, 40], [36, 40]]}')
    given = [str(landmarks) if each == "LANDMARKS" else each for each in options]
    result = run(["edit", str(case.photo), "--apply", "smile=0.3", *given])
    assert result.code == BAD_INPUT
    assert words in result.err
    with pytest.raises(ValueError, match="choose one"):
        AlignConfig(align="none", face=1)
