"""The face-alignment library: its weights, and 68 landmarks for every face of a photo.

The library fetches its weights itself, without a time limit, without looking at their hash and
unpickling freely (version 1.5.0). Here they are fetched beforehand into the place it looks in,
so that it finds them complete.
"""

from __future__ import annotations

import hashlib
import http.client
import math
import os
import queue
import threading
import urllib.request
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

UInt8Array = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]
OnProgress = Callable[[int, "int | None"], None]

DETECTION_SIDE = 1024
"""Faces are looked for in a copy whose longer side is at most this, in pixels."""
_REGION = 512
"""Landmarks are placed in a copy of the face scaled so that the library's crop has this side."""
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 20.0


class FaceAlignmentUnavailable(Exception):
    """The face-alignment library cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that the library loads."""

    name: str
    url: str
    sha256: str


_BASE = "https://www.adrianbulat.com/downloads/python-fan/"
DETECTOR_WEIGHTS = WeightsFile(
    "s3fd-619a316812.pth",
    _BASE + "s3fd-619a316812.pth",
    "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
)
LANDMARK_WEIGHTS = WeightsFile(
    "2DFAN4-11f355bf06.pth.tar",
    _BASE + "2DFAN4-11f355bf06.pth.tar",
    "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
)

_failures: dict[Path, str] = {}


@dataclass(frozen=True)
class FoundLandmarks:
    """One face: points float64 [68, 2] in iBUG order and box (x0, y0, x1, y1), photo pixels."""

    points: Float64Array
    box: tuple[float, float, float, float]
    score: float


def weights_folder() -> Path:
    """Give the folder in which the library looks for its weights."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def weights_present() -> bool:
    """Say whether both files are on disk, without reading them."""
    files = (DETECTOR_WEIGHTS, LANDMARK_WEIGHTS)
    return all((weights_folder() / file.name).is_file() for file in files)


def find_landmarks(
    pixels: UInt8Array, device: str, on_progress: OnProgress | None = None
) -> list[FoundLandmarks]:
    """Find every face in uint8 RGB [H, W, 3]; an empty list when there is none.

    on_progress(bytes, total or None) is told of a download. Raises FaceAlignmentUnavailable.
    """
    model = _model(weights_folder(), device, on_progress)
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    scale = min(1.0, DETECTION_SIDE / max(height, width))
    small_size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(image.resize(small_size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    # The detector halves its picture five times and needs something left to look at.
    missing = [(0, max(0, 64 - side)) for side in small.shape[:2]]
    benchmark = torch.backends.cudnn.benchmark
    try:
        boxes = model.face_detector.detect_from_image(np.pad(small, [*missing, (0, 0)], "edge"))
        to_photo = np.array([width / small_size[0], height / small_size[1]] * 2)
        return [
            _place(model, image, (np.asarray(box[:4]) + 0.5) * to_photo - 0.5, float(box[4]))
            for box in boxes
        ]
    finally:
        torch.backends.cudnn.benchmark = benchmark  # the library turns it on for everybody


def _place(model: Any, image: Image.Image, box: Float64Array, score: float) -> FoundLandmarks:
    """Place the landmarks of the face in a box (photo pixels).

    The library rounds points to whole pixels of the picture it is given and shrinks that picture
    without a filter, so it is given the surroundings of the face at a size that makes both small.
    """
    side = max(1.0, (box[2] - box[0] + box[3] - box[1]) * 200 / 195)  # of the library's crop
    middle = (box[:2] + box[2:]) / 2
    reach = math.ceil(side * 0.7)
    left, top = np.floor(middle).astype(int) - reach
    region = image.crop((left, top, left + 2 * reach, top + 2 * reach))
    region_side = round(2 * reach * _REGION / side)
    scale = region_side / (2 * reach)
    region = region.resize((region_side, region_side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    corner = np.array([left, top], dtype=np.float64)
    local = (box - np.tile(corner, 2) + 0.5) * scale - 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = model.get_landmarks_from_image(np.asarray(region), detected_faces=[local])[0]
    found = (np.asarray(points, dtype=np.float64)[:, :2] + 0.5) / scale - 0.5 + corner
    x0, y0, x1, y1 = (float(v) for v in box)
    return FoundLandmarks(points=found, box=(x0, y0, x1, y1), score=score)


_models: dict[tuple[Path, str], Any] = {}


def _model(folder: Path, device: str, on_progress: OnProgress | None) -> Any:
    if (folder, device) not in _models:
        _obtain(folder, on_progress)
        _models[folder, device] = _load(folder, device)
    return _models[folder, device]


def _load(folder: Path, device: str) -> Any:
    try:
        import face_alignment
    except ImportError as error:
        raise FaceAlignmentUnavailable(
            f"The face-alignment library cannot be imported ({error}). "
            "Install it anew: pip install --force-reinstall face-alignment."
        ) from error
    return face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D,
        device=device,
        flip_input=False,
        compile=False,
        # Naming the file makes the library load it as plain tensors.
        face_detector_kwargs={"path_to_detector": str(folder / DETECTOR_WEIGHTS.name)},
    )


def _obtain(folder: Path, on_progress: OnProgress | None) -> None:
    """Make sure that both files are on disk and right; a failure is remembered, not repeated."""
    if folder in _failures:
        raise FaceAlignmentUnavailable(_failures[folder])
    wanted = [f for f in (DETECTOR_WEIGHTS, LANDMARK_WEIGHTS) if not _is_whole(folder / f.name, f)]
    if not wanted:
        return
    try:
        if os.environ.get("REALDRAG_OFFLINE", "") not in ("", "0"):
            raise OSError("REALDRAG_OFFLINE is set")
        for file in wanted:
            _download(file, folder, on_progress)
    except (OSError, http.client.HTTPException, ValueError) as error:
        names = " and ".join(file.url for file in wanted)
        _failures[folder] = (
            f"The weights of face-alignment are not on this machine and could not be fetched "
            f"({error}). Connect to the internet, or put {names} into {folder}."
        )
        raise FaceAlignmentUnavailable(_failures[folder]) from error


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _is_whole(path: Path, file: WeightsFile) -> bool:
    if not path.is_file():
        return False
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns) == file.sha256


def _download(file: WeightsFile, folder: Path, on_progress: OnProgress | None) -> None:
    """Fetch a file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.{uuid.uuid4().hex}.part"
    digest = hashlib.sha256()
    done = 0
    try:
        with _connect(file.url) as answer, part.open("xb") as out:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            while block := answer.read(1 << 18):
                out.write(block)
                digest.update(block)
                done += len(block)
                if on_progress is not None:
                    on_progress(done, total)
        if digest.hexdigest() != file.sha256:
            raise ValueError(f"{file.url} gave {done} bytes that are not the known weights")
        os.replace(part, folder / file.name)
    finally:
        part.unlink(missing_ok=True)


def _connect(url: str) -> http.client.HTTPResponse:
    """Open an address within _CONNECT_SECONDS, the look-up of its name included.

    urlopen's own limit does not hold for the name, which takes long where there is no network.
    """
    outcome: queue.Queue[http.client.HTTPResponse | Exception] = queue.Queue(1)

    def ask() -> None:
        try:
            outcome.put(urllib.request.urlopen(url, timeout=_READ_SECONDS))
        except Exception as error:  # handed to the caller below
            outcome.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = outcome.get(timeout=_CONNECT_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {_CONNECT_SECONDS:.0f} s from {url}") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
