"""The parts of the way, with tensors and without a workspace."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from inversion.config import ProjectionConfig
from inversion.faces.alignment import AlignedFace, align, ffhq_quad
from inversion.faces.landmarks import find_faces
from inversion.projection import Inversion, ProjectionStep
from pipeline.machine.bench import Bench
from pipeline.picture.photo import read_photo
from pti.config import TuningConfig
from pti.tuning import TuningStep
from stylegan2.generator import Generator


def load_network(network: str | Path = "embedded", device: str = "cpu") -> Generator:
    """Load a StyleGAN2 generator: a known network's name, or a file of any format of the field.

    Raises WeightsInvalid, and DownloadFailed for a known network that cannot be fetched.
    """
    return Bench(device).generator(str(network))


def align_face(photo: str | Path | npt.NDArray[np.uint8], size: int, face: int = 1) -> AlignedFace:
    """Find a face and cut it out as FFHQ does, size x size pixels.

    photo is a file, or uint8 [H, W, 3], upright. face counts from 1, the largest first. Raises
    PhotoUnreadable and NoFaceFound.
    """
    pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo).pixels
    found = find_faces(pixels)
    return align(pixels, ffhq_quad(found.faces[face - 1]), size)
