"""The edited face back into the photo: what moved in the small picture moves in the large one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inversion.faces.alignment import align, aligned_to_photo, crop_scale, photo_to_aligned
from pipeline.picture.optical_flow import backward_flow, blurred, enlarged, fitted, moved
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import Array, Float32Array, Float64Array, UInt8Image

# Longer side of the grid on which the edit is measured: this, or the generator's if that is larger,
# and never more than so many times the generator's.
_GRID = 512
_MOST_ENLARGED = 8
# Lengths, as shares of the crop's longer side.
_FEATHER = 0.07
_CHANGE_SMOOTHING = 0.015
_CHANGE_MARGIN = 0.02
_OFFSET_SMOOTHING = 0.025
_SHADING_SMOOTHING = 0.04
# Grey levels of 255. A difference below the first of _CHANGE counts as none, from the second on in
# full. A difference left over by the flow fades when its brightness is about as weak as _FAINT, its
# colour as _FAINT_COLOUR: generators err in colour more than faces change it. It is a new thing
# rather than new light when its fine part is about as strong as _NEW_FINE, or all of it as _NEW.
_CHANGE = (1.5, 4.0)
_FAINT = 5.0
_FAINT_COLOUR = 40.0
_NEW_FINE = 28.0
_NEW = 90.0
# Photo pixels per pixel of the generator's picture: up to the first the generator's pixels are
# pasted, from the second on the photo's own are moved, which are sharper even there.
_PLAIN_SCALE = (0.3, 0.6)
_CRISPNESS = 2.5
_TILE_ROWS = 512


@dataclass(frozen=True)
class _Edit:
    """What happens to the photo, on an [h, w] grid over the crop; zero where nothing happens.

    way [h, w, 2]: from a place to where its pixels come from, xy in shares of the crop's longer
    side. renewal [h, w]: how much of those pixels is replaced, 0 to 1. light [h, w, 3]: grey levels
    to add to the rest of them; what replaces them is contained in it.
    """

    way: Float32Array
    renewal: Float32Array
    light: Float32Array


def paste_back(
    pixels: UInt8Image, quad: Float64Array, tuned: UInt8Image, edited: UInt8Image
) -> UInt8Image:
    """Carry the difference between two pictures of a crop into the photo it was cut from.

    pixels: uint8 [H, W, 3], the upright photo. quad: [4, 2] as in AlignedFace. tuned, edited: uint8
    [h, w, 3], the generator's picture before and after the drag. Gives uint8 [H, W, 3].

    The photo's own pixels are moved along the optical flow from tuned to edited, and what the flow
    does not explain is added as a difference, or, where something new appears, replaces them. So
    the photo keeps its sharpness however small the generator is, colours meet without a seam, and
    where the two pictures agree or the crop ends the photo stays as it was, bit by bit.
    """
    if tuned.shape[2:] != (3,) or edited.shape != tuned.shape:
        raise ValueError(f"tuned {tuned.shape} and edited {edited.shape} must be of one size")
    quad = np.asarray(quad, dtype=np.float64)
    result: UInt8Image = pixels.copy()
    if not np.array_equal(tuned, edited):
        _apply(_measure(pixels, quad, tuned, edited), quad, result, pixels)
    return result


def _measure(
    pixels: UInt8Image, quad: Float64Array, tuned: UInt8Image, edited: UInt8Image
) -> _Edit:
    import cv2  # large; only an edit needs it

    size = tuned.shape[:2]
    longer = max(size)
    scale = crop_scale(quad, size)
    n = max(min(_GRID, _MOST_ENLARGED * longer), longer)
    shape, detail = fitted(size, n), n / longer

    def smoothed(field: Array, share: float) -> Float32Array:
        return blurred(field, share * n)

    before, after = enlarged(tuned, shape), enlarged(edited, shape)
    original = enlarged(align(pixels, quad, size).image, shape)

    changed = _ramp(smoothed(np.abs(after - before).max(axis=2), _CHANGE_SMOOTHING), *_CHANGE)
    margin = max(1, round(_CHANGE_MARGIN * n))
    changed = np.asarray(
        cv2.dilate(changed, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)), np.float32
    )
    changed = smoothed(changed, _CHANGE_MARGIN / 2)
    changed[changed < 1e-3] = 0

    way, sure = backward_flow(before, after, detail)
    way *= changed[..., None]
    light = (after - moved(before, way)) * changed[..., None]
    brightness = light.mean(axis=2, keepdims=True)
    colour = light - brightness
    for part, faint in ((brightness, _FAINT), (colour, _FAINT_COLOUR)):
        strength = smoothed(np.abs(part).max(axis=2), 0.01) ** 2
        part *= (strength / (strength + faint**2))[..., None]
    light = brightness + colour

    fine = light - smoothed(light, _SHADING_SMOOTHING)
    newness = (fine**2).mean(axis=2) / _NEW_FINE**2 + (light**2).mean(axis=2) / _NEW**2
    renewal = 1 - np.exp(-smoothed(newness, 0.006)) * (0.3 + 0.7 * sure)
    renewal = np.maximum(renewal, 1 - _ramp(np.float32(scale), *_PLAIN_SCALE)) * changed
    # The generator's picture is off in colour here and there; what comes from it is corrected.
    offset = moved(smoothed(original - before, _OFFSET_SMOOTHING), way)
    replacement = _crisp(after, detail) + offset

    fields = [way / n, renewal, light, replacement]
    wanted = max(16, round(2 * longer * scale))
    if wanted < n:
        # The grid is far finer than the photo: average, so that nothing too fine is sampled.
        coarse = fitted(shape, wanted)[::-1]
        fields = [cv2.resize(f, coarse, interpolation=cv2.INTER_AREA) for f in fields]
    way, renewal, light, replacement = (np.asarray(f, np.float32) for f in fields)
    mask = _feather(pixels.shape, quad, renewal.shape)
    renewal = renewal * mask
    kept = (mask * (1 - renewal))[..., None]
    light = kept * light + renewal[..., None] * replacement
    return _Edit(way=way * mask[..., None], renewal=renewal, light=light.astype(np.float32))


def _crisp(image: Array, detail: float) -> Array:
    """Sharpen the edges of a picture enlarged so many times, without overshooting either side."""
    import cv2

    strength = _CRISPNESS * float(np.clip(detail - 1, 0, 1))
    fine = image - cv2.GaussianBlur(image, (0, 0), 0.9 * detail)
    nearby = np.ones((2 * round(0.8 * detail) + 1,) * 2, np.uint8)
    low, high = cv2.erode(image, nearby), cv2.dilate(image, nearby)
    return np.asarray(np.clip(image + strength * fine, low, high))


def _feather(
    photo_shape: tuple[int, ...], quad: Float64Array, shape: tuple[int, ...]
) -> Float32Array:
    """Fade to 0 at those edges of a grid [h, w] over the crop beyond which the photo goes on."""
    height, width = photo_shape[:2]
    across, down = (0, width - 1), (0, height - 1)
    pixels = np.array([[x, y, 1.0] for x in across for y in down])
    seen = (pixels @ photo_to_aligned(quad, shape).T)[:, :2] + 0.5
    profiles = []
    for axis, side in enumerate(shape[::-1]):
        place = np.arange(side, dtype=np.float32) + 0.5
        profile = np.ones(side, np.float32)
        if seen[:, axis].min() < 0:
            profile *= _ramp(place / max(shape), 0, _FEATHER)
            profile[0] = 0
        if seen[:, axis].max() > side:
            profile *= _ramp((side - place) / max(shape), 0, _FEATHER)
            profile[-1] = 0
        profiles.append(profile)
    mask: Float32Array = profiles[1][:, None] * profiles[0][None, :]
    return mask


def _apply(edit: _Edit, quad: Float64Array, result: UInt8Image, pixels: UInt8Image) -> None:
    """Write the edit of pixels into result, strip by strip."""
    import cv2

    shape = edit.renewal.shape
    to_photo, to_grid = aligned_to_photo(quad, shape), photo_to_aligned(quad, shape)
    # Ways in photo pixels, and renewal: one field to sample.
    way = edit.way @ (to_photo[:2, :2] * max(shape)).T.astype(np.float32)
    way_and_renewal = np.dstack([way, edit.renewal])
    reach = int(np.ceil(np.abs(way).max())) + 3
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = _touched(edit, to_photo, (height, width))
    for top in range(y0, y1, _TILE_ROWS):
        bottom = min(top + _TILE_ROWS, y1)
        from_tile = to_grid[:2].copy()
        from_tile[:, 2] += from_tile[:, 0] * x0 + from_tile[:, 1] * top

        def sampled(field: Array, matrix: Array = from_tile, rows: int = bottom - top) -> Array:
            return np.asarray(
                cv2.warpAffine(
                    field,
                    matrix,
                    (x1 - x0, rows),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REPLICATE,
                )
            )

        local = sampled(way_and_renewal)
        left, above = max(0, x0 - reach), max(0, top - reach)
        around = pixels[above : bottom + reach, left : x1 + reach]
        x = np.arange(x0 - left, x1 - left, dtype=np.float32)[None, :] + local[..., 0]
        y = np.arange(top - above, bottom - above, dtype=np.float32)[:, None] + local[..., 1]
        own = cv2.remap(
            np.ascontiguousarray(around), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        new = own * (1 - local[..., 2:]) + sampled(edit.light)
        result[top:bottom, x0:x1] = np.rint(new).clip(0, 255).astype(np.uint8)


def _touched(
    edit: _Edit, to_photo: Float64Array, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of the photo, (x0, y0, x1, y1), outside which nothing happens."""
    active = edit.renewal > 0
    active |= np.abs(edit.way).max(axis=2) > 0
    active |= np.abs(edit.light).max(axis=2) > 0
    rows, columns = np.flatnonzero(active.any(axis=1)), np.flatnonzero(active.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    across, down = (columns[0] - 1, columns[-1] + 1), (rows[0] - 1, rows[-1] + 1)
    corners = np.array([[x, y, 1.0] for x in across for y in down]) @ to_photo.T
    low = np.maximum(np.floor(corners[:, :2].min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners[:, :2].max(axis=0)) + 1, size[::-1]).astype(int)
    high = np.maximum(high, low)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _ramp(value: Array | np.float32, low: float, high: float) -> Float32Array:
    """Rise smoothly from 0 at low to 1 at high."""
    return np.asarray(smoothstep(np.asarray((value - low) / (high - low))), np.float32)
