"""The offline face finder: every face of a photo with five points, on a CPU, no download.

FaceDetector looks at the photo in four octaves of size and proposes faces; FaceRefiner looks at
each proposal straightened, places the points precisely and says whether this is a face at all.
Trained by tools/train_finder.py; figures and limits are in weights/FINDER_CARD.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load
from torch import Tensor

from inversion.faces.finder_geometry import (
    GREY,
    MIRRORED,
    Complex,
    Reductions,
    crop_of,
    fit_template,
)
from inversion.faces.finder_networks import (
    CROP,
    REACH,
    STRIDE,
    FaceDetector,
    FaceRefiner,
    to_input,
)
from inversion.faces.search import close_scale
from stylegan2.arrays import Float32Array, Float64Array, UInt8Image

OCTAVES = (320, 160, 80, 40)
"""Longest side, in pixels, of the pictures that the detector sees."""

PROPOSED = -1.7
MOST_PROPOSALS = 24
"""What of the detector's output the refiner sees: the least logit, and how many proposals."""
RARE = -5.54
"""Log odds of a proposal before both networks have spoken; puts the best threshold at a half."""
SCORE = 0.5
"""A face is reported from this score on (chosen on people held out from training, see the card)."""
CLOSE_SCORE = 0.5
"""The same for a close look, which sees many times as much that is no face."""
HOPELESS, CONVINCED = -2.0, 3.0
"""Face logits at the first look: below the one no second look, from the other on no doubt."""
LIKELY = -0.8
TURNS = (np.exp(np.radians(30) * 1j), np.exp(np.radians(-30) * 1j))
"""Doubtful proposals from this detector logit on are looked at turned as well."""


def _distinct(points: Complex, scores: Float64Array, alike: float = math.inf) -> list[int]:
    """Return the indices of the best detection of each face, best first.

    Detections whose sizes differ by more than a factor of `alike` never exclude each other.
    """
    middles = points.mean(-1)
    sizes = np.abs(fit_template(points)[0])
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        ratio = np.maximum(sizes[i] / sizes[kept], sizes[kept] / sizes[i])
        near = np.abs(middles[i] - middles[kept]) < 0.8 * np.maximum(sizes[i], sizes[kept])
        if not (near & (ratio <= alike)).any():
            kept.append(i)
    return kept


def close_octaves(width: int, height: int) -> tuple[int, ...]:
    """Return the sides of a close look, above those of the first and not above the picture's."""
    side = round(max(width, height) * close_scale(height, width))
    sides = []
    while side > OCTAVES[0]:
        sides.append(side)
        side //= 2
    return tuple(sides)


class FaceFinder:
    """Find the faces of a photo and five points in each."""

    def __init__(self, detector: FaceDetector, refiner: FaceRefiner) -> None:
        self.detector = detector.eval().to(memory_format=torch.channels_last)
        self.refiner = refiner.eval().to(memory_format=torch.channels_last)

    def find(
        self, pixels: UInt8Image, least_score: float | None = None, *, closely: bool = False
    ) -> list[tuple[Float32Array, float]]:
        """Return (points, score) of every face in uint8 RGB pixels [H, W, 3], best score first.

        Points are float32 [5, 2], xy in pixels, the first pixel's centre at (0, 0): eye at the
        left of the picture, eye at the right, nose tip, mouth corner at the left, at the right.
        They may lie outside the picture when the face does. Scores are in 0..1. closely looks
        for smaller faces, and only for them; it takes seconds where the picture is large.
        Raises ValueError for another shape or type.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ValueError(f"expected uint8 [H, W, 3], got {pixels.dtype} {pixels.shape}")
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        if least_score is None:
            least_score = CLOSE_SCORE if closely else SCORE
        with torch.inference_mode():
            sides = close_octaves(*picture.size) if closely else OCTAVES
            points, proposed = self.propose(picture, sides)
            points, evidence = self._refine(Reductions(picture), points, proposed)
        scores = 1 / (1 + np.exp(-evidence - RARE))
        return [
            (
                np.stack([points[i].real, points[i].imag], axis=-1).astype(np.float32),
                float(scores[i]),
            )
            for i in _distinct(points, scores)
            if scores[i] >= least_score
        ]

    def propose(
        self, picture: Image.Image, sides: Sequence[int] = OCTAVES
    ) -> tuple[Complex, Float64Array]:
        """Return the detector's faces at all sizes of the picture: points [n, 5] and logits [n].

        sides are the longest sides that it is looked at with, in pixels, the largest first.
        """
        points, logits = [np.zeros((0, 5), complex)], [np.zeros(0)]
        longest = max(picture.size)
        base = picture
        for side in sides:
            w, h = (max(1, round(s * side / longest)) for s in picture.size)
            base = base.resize((w, h), Image.Resampling.BILINEAR, reducing_gap=2.0)
            # A margin of a cell and more all around, so that faces at the edge have a background.
            wide, high = (-(-s // STRIDE) * STRIDE + 2 * STRIDE for s in (w, h))
            left, top = (wide - w) // 2, (high - h) // 2
            field = np.full((1, high, wide, 3), GREY, np.uint8)
            field[0, top : top + h, left : left + w] = np.asarray(base)
            found, logit = _peaks(*self.detector(to_input(field)))
            x = (found.real - left + 0.5) * (picture.width / w) - 0.5
            y = (found.imag - top + 0.5) * (picture.height / h) - 0.5
            points.append(x + 1j * y)
            logits.append(logit)
        every, logit = np.concatenate(points), np.concatenate(logits)
        best = _distinct(every, logit, alike=1.7)[:MOST_PROPOSALS]
        return every[best], logit[best]

    def _refine(
        self, picture: Reductions, points: Complex, proposed: Float64Array
    ) -> tuple[Complex, Float64Array]:
        """Look at each proposal, and at the promising ones again where the first look put them.

        Returns points and summed logits of both networks of those looked at twice.
        """
        found, judged = self.look(picture, points)
        for turn in TURNS:
            # The detector puts the points of a steep face too upright.
            again = np.flatnonzero((proposed >= LIKELY) & (judged < CONVINCED))
            middle = points[again].mean(-1, keepdims=True)
            turned, other = self.look(picture, (points[again] - middle) * turn + middle)
            better = other > judged[again]
            found[again[better]], judged[again[better]] = turned[better], other[better]
        worth = judged >= HOPELESS
        found, judged = self.look(picture, found[worth], mirrored=True)
        return found, judged + proposed[worth]

    def look(
        self, picture: Reductions, points: Complex, mirrored: bool = False
    ) -> tuple[Complex, Float64Array]:
        """Place points [n, 5] anew in straightened crops; returns them and face logits [n].

        With `mirrored`, the mean over each crop and its mirror image.
        """
        if not len(points):
            return points, np.zeros(0)
        fits = [crop_of(a, b) for a, b in zip(*fit_template(points), strict=True)]
        crops = np.stack([np.asarray(picture.crop(a, b, CROP)) for a, b in fits])
        if mirrored:
            crops = np.concatenate([crops, crops[:, :, ::-1]])
        xy, _, face = self.refiner(to_input(crops))
        straight, judged = xy.double().numpy(), face.double().numpy()
        if mirrored:
            straight, back = np.split(straight, 2)
            straight = (straight + back[:, MIRRORED] * (-1, 1) + np.array([CROP - 1, 0])) / 2
            judged = judged.reshape(2, -1).mean(0)
        a, b = np.array(fits).T[..., None]
        return a * (straight[..., 0] + 1j * straight[..., 1]) + b, judged


def _peaks(logits: Tensor, offsets: Tensor) -> tuple[Complex, Float64Array]:
    """Read the local maxima of one picture's detector output: points [n, 5], logits [n]."""
    highest = F.max_pool2d(logits[:, None], 3, 1, 1)[:, 0]
    rows, columns = ((logits == highest) & (logits >= PROPOSED))[0].nonzero(as_tuple=True)
    cells = torch.stack([columns, rows], dim=1)[:, None] * STRIDE + (STRIDE - 1) / 2
    xy = (cells + offsets[0, :, :, rows, columns].permute(2, 0, 1) * REACH).double().numpy()
    return xy[..., 0] + 1j * xy[..., 1], logits[0, rows, columns].double().numpy()


def load_finder() -> FaceFinder:
    """Build the finder from the weights in the package."""
    path = resources.files(__package__) / "weights" / "finder.safetensors"
    return finder_from(load(path.read_bytes()))


def finder_from(tensors: dict[str, Tensor]) -> FaceFinder:
    """Build a finder from tensors named detector.* and refiner.*."""
    detector, refiner = FaceDetector(), FaceRefiner()
    for name, network in (("detector.", detector), ("refiner.", refiner)):
        own = {k.removeprefix(name): v.float() for k, v in tensors.items() if k.startswith(name)}
        network.load_state_dict(own)
    return FaceFinder(detector, refiner)
