"""A head in space: how the 68 points of a face lie in depth, and how the head is turned.

Seen without perspective, as portraits nearly are. Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inversion.faces.shape68 import Points
from stylegan2.arrays import Float64Array

# fmt: off
HEAD: Float64Array = np.array([
    (-0.267, -0.188, -0.202), (-0.268, -0.075, -0.252), (-0.265, -0.018, -0.252),
    (-0.239, 0.107, -0.226), (-0.215, 0.158, -0.186), (-0.187, 0.196, -0.138),
    (-0.121, 0.255, -0.052), (-0.050, 0.290, 0.013), (0.000, 0.295, 0.026),
    (0.050, 0.290, 0.013), (0.121, 0.255, -0.052), (0.187, 0.196, -0.138),
    (0.215, 0.158, -0.186), (0.239, 0.107, -0.226), (0.265, -0.018, -0.252),
    (0.268, -0.075, -0.252), (0.267, -0.188, -0.202), (-0.221, -0.201, -0.053),
    (-0.197, -0.222, -0.017), (-0.160, -0.232, 0.018), (-0.111, -0.230, 0.049),
    (-0.056, -0.222, 0.069), (0.056, -0.222, 0.069), (0.111, -0.230, 0.049),
    (0.160, -0.232, 0.018), (0.197, -0.222, -0.017), (0.221, -0.201, -0.053),
    (0.000, -0.159, 0.075), (0.000, -0.101, 0.122), (0.000, -0.047, 0.166),
    (0.000, -0.013, 0.185), (-0.055, 0.019, 0.103), (-0.033, 0.032, 0.114),
    (0.000, 0.035, 0.125), (0.033, 0.032, 0.114), (0.055, 0.019, 0.103),
    (-0.173, -0.146, -0.027), (-0.149, -0.160, -0.009), (-0.109, -0.163, -0.001),
    (-0.067, -0.139, 0.011), (-0.103, -0.133, 0.007), (-0.142, -0.133, -0.001),
    (0.067, -0.139, 0.011), (0.109, -0.163, -0.001), (0.149, -0.160, -0.009),
    (0.173, -0.146, -0.027), (0.142, -0.133, -0.001), (0.103, -0.133, 0.007),
    (-0.110, 0.109, 0.020), (-0.064, 0.091, 0.076), (-0.033, 0.085, 0.097),
    (0.000, 0.091, 0.104), (0.033, 0.085, 0.097), (0.064, 0.091, 0.076),
    (0.110, 0.109, 0.020), (0.062, 0.153, 0.061), (0.033, 0.163, 0.075),
    (0.000, 0.166, 0.083), (-0.033, 0.163, 0.075), (-0.062, 0.153, 0.061),
    (-0.101, 0.110, 0.023), (-0.028, 0.109, 0.081), (0.000, 0.111, 0.090),
    (0.028, 0.109, 0.081), (0.101, 0.110, 0.023), (0.027, 0.129, 0.070),
    (0.000, 0.131, 0.079), (-0.027, 0.129, 0.070),
])
# fmt: on
"""The 68 points of a mean head: x to the right, y down, z to who looks, in sides of a crop.

Fitted to the faces that the landmark network learnt from, by `python -m tools.fit_head_shape`.
"""
HEAD.flags.writeable = False


@dataclass(frozen=True)
class HeadPose:
    """How a head is turned, and where it is: scale * points @ rotation.T, and then shifted.

    scale: pixels a unit of HEAD. rotation: [3, 3]. shift: [2] xy in pixels.
    """

    scale: float
    rotation: Float64Array
    shift: Float64Array

    def placed(self, points: Float64Array) -> Float64Array:
        """Bring points [P, 3] of the head to the picture: [P, 3], pixels, z to who looks."""
        places: Float64Array = self.scale * points @ self.rotation.T
        places[:, :2] += self.shift
        return places

    @property
    def yaw(self) -> float:
        """By how much the head is turned to the right of the picture, in radians."""
        return float(np.arctan2(self.rotation[0, 2], self.rotation[0, 0]))


def head_pose(face: Points) -> HeadPose:
    """Find how the head of a face with points [68, 2] is turned."""
    return HeadPose(*pose_of_shape(HEAD, np.asarray(face, np.float64)))


def pose_of_shape(
    shape: Float64Array, face: Float64Array
) -> tuple[float, Float64Array, Float64Array]:
    """Fit scale, rotation [3, 3] and shift [2] that bring a shape [P, 3] to points [P, 2].

    The affine map of least squares, and the rotation and the scale that are nearest to it.
    """
    known = np.column_stack([shape, np.ones(len(shape))])
    seen = np.linalg.lstsq(known, face, rcond=None)[0]
    u, sizes, v = np.linalg.svd(seen[:3].T, full_matrices=False)
    across, down = u @ v
    return float(sizes.mean()), np.stack([across, down, np.cross(across, down)]), seen[3]
