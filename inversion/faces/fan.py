"""The face-alignment library: its weights, and 68 landmarks for every face of a photo.

The library would fetch its weights itself, without a time limit, without looking at their hash
and unpickling freely (version 1.5.0). Here they are fetched beforehand into the place it looks in,
so that it finds them complete.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from inversion.faces.search import close_scale
from inversion.torch_hub import checkpoints_folder
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.downloads.known_file import KnownFile, obtain
from stylegan2.downloads.transfer import DownloadFailed, OnProgress

DETECTION_SIDE = 1024
"""Faces are looked for in a copy whose longer side is at most this, in pixels."""
_REGION = 512
"""Landmarks are placed in a copy of the face scaled so that the library's crop has this side."""


class FaceAlignmentUnavailable(Exception):
    """The face-alignment library cannot be used; the message says why and what to do."""


_BASE = "https://www.adrianbulat.com/downloads/python-fan/"
DETECTOR_WEIGHTS = KnownFile(
    f"{_BASE}s3fd-619a316812.pth",
    "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
    90,
)
LANDMARK_WEIGHTS = KnownFile(
    f"{_BASE}2DFAN4-11f355bf06.pth.tar",
    "11f355bf0693120222f5955ce3f9dc8fb5763ebb30a47d7906e509490d32e4aa",
    96,
)
WEIGHTS = (DETECTOR_WEIGHTS, LANDMARK_WEIGHTS)
"""Files that the library loads."""


@dataclass(frozen=True)
class FoundLandmarks:
    """One face: points float64 [68, 2] in iBUG order and box (x0, y0, x1, y1), photo pixels."""

    points: Float64Array
    box: tuple[float, float, float, float]
    score: float


def find_landmarks(
    pixels: UInt8Image,
    device: str,
    on_progress: OnProgress | None = None,
    *,
    closely: bool = False,
) -> list[FoundLandmarks]:
    """Find every face in uint8 RGB [H, W, 3]; an empty list when there is none.

    on_progress hears of the download at first use. closely looks for faces in a larger copy,
    which takes longer. Raises FaceAlignmentUnavailable.
    """
    model = _model(checkpoints_folder(), device, on_progress)
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    scale = min(1.0, DETECTION_SIDE / max(height, width))
    if closely:
        if scale == 1.0:
            return []  # the first look saw all there is
        scale = close_scale(height, width)
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
    """Make sure that both files are on disk and right."""
    try:
        for file in WEIGHTS:
            obtain(file, folder, on_progress)
    except DownloadFailed as error:
        raise FaceAlignmentUnavailable(
            f"The weights of face-alignment cannot be had: {error}."
        ) from error
