"""Five points of a face as complex numbers, and straightened crops of a picture around them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from inversion.faces.finder_networks import CROP

Complex = npt.NDArray[np.complex128]
"""Points as x + iy: a similarity is then z -> a z + b, and a carries scale and rotation."""

# The mean face with the eyes one unit apart and its origin between them, x + iy, y down: the
# generalised Procrustes mean of the training points, made symmetric.
TEMPLATE: Complex = np.array([-0.5, 0.5, 0.645j, -0.439 + 1.032j, 0.439 + 1.032j])
MIRRORED = (1, 0, 2, 4, 3)
"""Which point each of the five becomes when the picture is mirrored."""
CROP_EYES = 26.0
"""Eye distance of TEMPLATE in the refiner's crop, in pixels."""
GREY = (128, 128, 128)
"""What lies outside a picture: zero to the networks."""


def fit_template(points: Complex) -> tuple[Complex, Complex]:
    """Fit z = a TEMPLATE + b to points [..., 5] by least squares; returns a and b, each [...]."""
    centred = TEMPLATE - TEMPLATE.mean()
    a = (points * centred.conj()).sum(-1) / (np.abs(centred) ** 2).sum()
    return a, points.mean(-1) - a * TEMPLATE.mean()


def crop_of(a: complex, b: complex) -> tuple[complex, complex]:
    """Turn a fit of TEMPLATE into the similarity from the refiner's crop to the picture."""
    middle = (CROP - 1) * (0.5 + 0.5j)
    scale = a / CROP_EYES
    return scale, a * TEMPLATE.mean() + b - scale * middle


class Reductions:
    """A picture with its halvings, made when first needed, to sample from without aliasing."""

    def __init__(self, picture: Image.Image) -> None:
        self.picture = picture
        self._levels = {1: picture}

    def crop(self, a: complex, b: complex, size: int) -> Image.Image:
        """Sample size x size pixels, crop pixel z (x + iy) from picture pixel a z + b."""
        factor = 2 ** max(0, round(math.log2(max(abs(a), 1e-6) / 1.06)))
        factor = min(factor, 2 ** int(math.log2(min(self._levels[1].size))))
        if factor not in self._levels:
            self._levels[factor] = self._levels[1].reduce(factor)
        a, b = a / factor, (b + 0.5 + 0.5j) / factor - 0.5 - 0.5j
        b = b + (0.5 + 0.5j) - a * (0.5 + 0.5j)  # Pillow counts from the corner of the first pixel
        return self._levels[factor].transform(
            (size, size),
            Image.Transform.AFFINE,
            (a.real, -a.imag, b.real, a.imag, a.real, b.imag),
            Image.Resampling.BILINEAR,
            fillcolor=GREY,
        )
