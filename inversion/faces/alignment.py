"""Landmarks into an aligned face, and the way back to the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from inversion.faces.face import Face
from inversion.faces.landmarks_file import LandmarksInvalid
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.sizes import Size, sides

# Where the crop leaves the photo, the mirrored filling is blurred: this sigma, fully blurred at
# this distance from the photo's edge, both as shares of the crop's side (as soft as FFHQ's).
_FILL_SIGMA = 0.02
_FILL_REACH = 0.1


@dataclass(frozen=True)
class AlignedFace:
    """A face cut out of a photo.

    image: uint8 [H, W, 3]. quad: float64 [4, 2], the outer corners of the crop (top left, bottom
    left, bottom right, top right), xy in pixel indices of the upright photo, so that the corner
    before the photo's first pixel is (-0.5, -0.5).
    """

    image: UInt8Image
    quad: Float64Array


def ffhq_quad(face: Face) -> Float64Array:
    """Place FFHQ's crop around a face (Karras et al. 2019, appendix A, with the constants used).

    Returns [4, 2] as in AlignedFace.quad. FFHQ computes the corners from landmarks in pixel indices
    and adds 0.5 to have continuous coordinates; here they stay pixel indices.
    """
    eye_left, eye_right, _, mouth_left, mouth_right = face.eyes_mouth.astype(np.float64)
    eyes = (eye_left + eye_right) / 2
    eye_to_eye = eye_right - eye_left
    eye_to_mouth = (mouth_left + mouth_right) / 2 - eyes
    x = eye_to_eye - _turned(eye_to_mouth)
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = _turned(x)
    centre = eyes + eye_to_mouth * 0.1
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def whole(size: Size) -> Float64Array:
    """Return the quad [4, 2] of a picture of that size that is its own crop."""
    height, width = sides(size)
    return np.array([[0, 0], [0, height], [width, height], [width, 0]]) - 0.5


def placed(matrix: Float64Array, places: Float64Array) -> Float64Array:
    """Bring places [..., 2] to where an affine matrix, 3 x 3 or 2 x 3, has them."""
    there: Float64Array = places @ matrix[:2, :2].T + matrix[:2, 2]
    return there


def aligned_to_photo(quad: Float64Array, size: Size) -> Float64Array:
    """Return the 3x3 matrix from pixel indices of a crop of that size to those of the photo.

    quad is taken as the parallelogram of its first, second and last corner.
    """
    top_left, bottom_left, _, top_right = np.asarray(quad, dtype=np.float64)
    matrix = np.eye(3)
    height, width = sides(size)
    matrix[:2, 0] = (top_right - top_left) / width
    matrix[:2, 1] = (bottom_left - top_left) / height
    # The quad's corner is the corner of the first pixel, half a pixel before its centre.
    matrix[:2, 2] = top_left + 0.5 * (matrix[:2, 0] + matrix[:2, 1])
    return matrix


def photo_to_aligned(quad: Float64Array, size: Size) -> Float64Array:
    """Return the inverse of aligned_to_photo."""
    inverse: Float64Array = np.linalg.inv(aligned_to_photo(quad, size)).astype(np.float64)
    return inverse


def crop_scale(quad: Float64Array, size: Size) -> float:
    """Return the photo pixels per pixel of the crop, along its longer side."""
    matrix = aligned_to_photo(quad, size)
    return float(max(np.hypot(*matrix[:2, 0]), np.hypot(*matrix[:2, 1])))


def align(pixels: UInt8Image, quad: Float64Array, size: Size) -> AlignedFace:
    """Cut the quad out of upright pixels uint8 [H, W, 3] as a picture of that size, antialiased.

    Outside the photo its mirror image fills the crop, softly blurred, as in FFHQ. Raises
    LandmarksInvalid for a quad that lies outside the photo altogether.
    """
    import cv2  # large; align_none does without

    quad = np.asarray(quad, dtype=np.float64)
    if (quad.max(axis=0) < 0).any() or (quad.min(axis=0) > pixels.shape[1::-1]).any():
        photo_height, photo_width = pixels.shape[:2]
        raise LandmarksInvalid(
            f"The face lies outside the {photo_width} x {photo_height} picture. Give its points in "
            "pixels of this picture, from its top left corner.",
            "they lie outside the picture",
        )
    height, width = sides(size)
    scale = crop_scale(quad, size)
    # First halve the work: average blocks of pixels, but keep twice the resolution of the crop.
    block = max(1, int(scale / 2))
    image, origin = _surroundings(pixels, quad, margin=4 * block, block=block)
    # image's pixel index i is the photo's origin + i * block.
    local = (quad - origin) / block
    image, offset = _filled(image, local)
    # Then sample at least once per remaining pixel, and average down.
    finer = max(1, math.ceil(scale / block))
    fine = cv2.warpAffine(
        image,
        aligned_to_photo(local + offset, (height * finer, width * finer))[:2],
        (width * finer, height * finer),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    aligned = Image.fromarray(fine).resize((width, height), Image.Resampling.LANCZOS)
    return AlignedFace(image=np.array(aligned), quad=quad)


def align_none(pixels: UInt8Image, size: Size) -> AlignedFace:
    """Take the picture as it is, in the middle of a crop of that size.

    Along the crop's longer side, both of a square, all of the picture is taken; across it the
    picture is cropped, and where it does not suffice its edges are repeated.
    """
    crop, photo = sides(size), pixels.shape[:2]
    parts = [side // math.gcd(*crop) for side in crop]
    # So many photo pixels a part that both sides of what is taken are whole numbers.
    part = max(
        -(-side // share) for side, share in zip(photo, parts, strict=True) if share == max(parts)
    )
    height, width = (share * part for share in parts)
    top, left = (height - photo[0]) // 2, (width - photo[1]) // 2
    bottom, right = height - photo[0] - top, width - photo[1] - left
    padding = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0)]
    taken = pixels[max(-top, 0) : photo[0] - max(-bottom, 0)]
    taken = taken[:, max(-left, 0) : photo[1] - max(-right, 0)]
    whole = np.pad(taken, padding, mode="edge")
    low, high = np.array([-left, -top]) - 0.5, np.array([width - left, height - top]) - 0.5
    quad = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
    scaled = Image.fromarray(whole).resize(crop[::-1], Image.Resampling.LANCZOS)
    return AlignedFace(image=np.array(scaled), quad=quad)


def _turned(vector: Float64Array) -> Float64Array:
    """Turn a picture vector (y down) by a quarter, from right to down."""
    return np.array([-vector[1], vector[0]])


def _surroundings(
    pixels: UInt8Image, quad: Float64Array, margin: int, block: int
) -> tuple[UInt8Image, Float64Array]:
    """Cut the photo's part around the quad and average blocks of it.

    Returns the picture, and the photo's pixel index at the centre of its first pixel.
    """
    height, width = pixels.shape[:2]
    low = np.floor(quad.min(axis=0)).astype(int) - margin
    high = np.ceil(quad.max(axis=0)).astype(int) + margin + 1
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, (width, height))
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    if block > 1:
        part = np.array(Image.fromarray(part).reduce(block))
    return part, np.array([x0, y0], dtype=np.float64) + (block - 1) / 2


def _filled(image: UInt8Image, quad: Float64Array) -> tuple[UInt8Image, Float64Array]:
    """Continue a picture as far as the quad goes beyond it; return it and the quad's shift."""
    height, width = image.shape[:2]
    low, high = quad.min(axis=0) - 2, quad.max(axis=0) + 2
    left, top = (max(0, math.ceil(-edge)) for edge in low)
    right = max(0, math.ceil(high[0] - (width - 1)))
    bottom = max(0, math.ceil(high[1] - (height - 1)))
    offset = np.array([left, top], dtype=np.float64)
    if not (left or top or right or bottom):
        return image, offset
    padded = np.pad(image, [(top, bottom), (left, right), (0, 0)], mode="reflect")
    side = float(np.hypot(*(quad[3] - quad[0])))
    blurred = np.asarray(
        Image.fromarray(padded).filter(ImageFilter.GaussianBlur(_FILL_SIGMA * side))
    )
    x, y = np.arange(padded.shape[1]), np.arange(padded.shape[0])
    outside_x = np.maximum(np.maximum(left - x, x - (left + width - 1)), 0)
    outside_y = np.maximum(np.maximum(top - y, y - (top + height - 1)), 0)
    distance = np.hypot(outside_y[:, None], outside_x[None, :])
    share = np.clip(distance / (_FILL_REACH * side), 0, 1).astype(np.float32)[..., None]
    mixed = padded + (blurred.astype(np.float32) - padded) * share
    return mixed.round().astype(np.uint8), offset
