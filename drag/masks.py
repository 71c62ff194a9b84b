"""The mask of what may change: a white pixel may, everything else is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from drag.points import PointsFile, PointsInvalid
from stylegan2.arrays import BoolImage, Float64Array
from stylegan2.sizes import Size, sides

MODES = ("1", "L", "LA", "P", "RGB", "RGBA")

MAX_SAMPLES_PER_PIXEL = 4
"""Along each axis, when a large photo's mask is brought down to the aligned face."""

FEATHER = 12.0
"""Width of the seam inside a mask's edge, in pixels of a 512 picture."""


@dataclass(frozen=True)
class MovableMask:
    """Which pixels of the aligned face may change: bool [H, W] on the CPU, and notices."""

    movable: Tensor
    notices: tuple[str, ...]


def movable_mask(
    points_file: PointsFile,
    photo_to_aligned: Float64Array,
    size: Size,
    photo_size: tuple[int, int],
) -> MovableMask | None:
    """Read the mask that a points file names, in pixels of the aligned face; None without one.

    photo_to_aligned is 3x3 and acts on (x, y, 1); photo_size is (width, height). The mask must
    have the size of the picture its space means. Beyond the photo its edge is repeated.
    Raises PointsInvalid.
    """
    path = points_file.mask_path
    if path is None:
        return None
    if points_file.space == "aligned":
        movable = read_mask(path, sides(size)[::-1], "the aligned face")
    else:
        whole = read_mask(path, photo_size, "the photo")
        movable = warp_mask(whole, photo_to_aligned, size)
    notices = []
    if movable.all():
        notices.append("the mask is all white on the face: everything may change")
    elif not movable.any():
        notices.append(
            "the mask is all black on the face: nothing may change, so points hardly move"
        )
    return MovableMask(torch.from_numpy(movable), tuple(notices))


def keep_outside(picture: Tensor, kept: Tensor, movable: Tensor) -> Tensor:
    """Put a picture [1, 3, H, W] into another one where it may change (bool [H, W]).

    Outside the mask the other picture stays as it is; inside, within FEATHER of the mask's edge,
    the two are mixed. The generator alone keeps what a mask protects only nearly.
    """
    share = movable.to(picture.dtype)[None, None]
    inner, alpha = share, share.clone()
    steps = max(round(FEATHER * max(movable.shape) / 512), 1)
    for _ in range(steps):
        inner = 1 - F.max_pool2d(1 - inner, 3, stride=1, padding=1)
        alpha += inner
    alpha /= steps + 1
    # Exactly the kept picture where alpha is 0, whatever the numbers.
    return torch.where(share > 0, kept.lerp(picture, alpha), kept)


def may_change(xy: tuple[float, float], movable: Tensor) -> bool:
    """Tell whether the picture may change at a position: movable is bool [H, W]."""
    height, width = movable.shape
    x = min(max(round(xy[0]), 0), width - 1)
    y = min(max(round(xy[1]), 0), height - 1)
    return bool(movable[y, x])


def read_mask(path: Path, size: tuple[int, int], of_what: str) -> BoolImage:
    """Read a PNG mask of that (width, height) as bool [H, W], True where it is white.

    Half bright counts as white; what is transparent counts as black. Raises PointsInvalid.
    """
    try:
        with path.open("rb") as file:
            return decode_mask(file, size, of_what)
    except FileNotFoundError as error:
        raise PointsInvalid(f"mask {path}: there is no such file") from error
    except OSError as error:
        raise PointsInvalid(f"mask {path}: cannot be read ({error.strerror})") from error
    except PointsInvalid as error:
        raise PointsInvalid(f"mask {path}: {error}") from error


def decode_mask(file: BinaryIO, size: tuple[int, int], of_what: str) -> BoolImage:
    """Decode the PNG of a mask, as `read_mask` does; PointsInvalid does not name the file."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            if image.size != size:
                raise PointsInvalid(
                    f"it is {image.width} x {image.height} pixels, "
                    f"{of_what} is {size[0]} x {size[1]}: it must have the same size"
                )
            if image.mode not in MODES:
                raise PointsInvalid(
                    f"its pixels are of mode {image.mode}; save it as an 8-bit grey or colour PNG"
                )
            light = np.asarray(image.convert("RGBA").convert("LA"), dtype=np.uint16)
    except UnidentifiedImageError as error:
        raise PointsInvalid("not a readable PNG") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PointsInvalid(f"not a readable PNG: {error}") from error
    white: BoolImage = light[..., 0] * light[..., 1] >= 128 * 255
    return white


def warp_mask(mask: BoolImage, photo_to_aligned: Float64Array, size: Size) -> BoolImage:
    """Bring a photo's mask [H, W] to the aligned face of that size.

    A pixel may change when at least half of the positions looked up inside it may.
    """
    aligned_to_photo = np.linalg.inv(photo_to_aligned).astype(np.float64)
    scale = math.sqrt(abs(np.linalg.det(aligned_to_photo[:2, :2])))
    samples = min(max(math.ceil(scale), 1), MAX_SAMPLES_PER_PIXEL)
    shifts = (np.arange(samples) + 0.5) / samples - 0.5
    height, width = sides(size)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    count = np.zeros((height, width), np.int32)
    for shift_y in shifts:
        for shift_x in shifts:
            place = np.stack([x + shift_x, y + shift_y, np.ones_like(x)])
            photo_x, photo_y, depth = np.tensordot(aligned_to_photo, place, axes=1)
            column = np.rint(photo_x / depth).clip(0, mask.shape[1] - 1).astype(np.intp)
            row = np.rint(photo_y / depth).clip(0, mask.shape[0] - 1).astype(np.intp)
            count += mask[row, column]
    movable: BoolImage = 2 * count >= samples * samples
    return movable
