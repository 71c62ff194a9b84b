"""The photo's side of a drag: which points the network is asked for, and how the photo moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drag.masks import may_change
from drag.points import DragPoint
from drag.session import DragStep
from inversion.faces.landmark_network import load_landmarker
from pipeline.picture.face_area import on_face
from pipeline.picture.motion import Motion, face_motion, plain_motion
from pipeline.picture.mouth import Faces
from pipeline.picture.warp import warp
from pipeline.stages.artifact_files import DRAG, read_pixels, read_tensors
from pipeline.stages.work import Work
from stylegan2.arrays import BoolImage, Float32Array, UInt8Image

XY = tuple[float, float]

FRAMES = 16
"""Of the animation of a photo that moves."""


@dataclass(frozen=True)
class MovingPhoto:
    """An aligned photo, uint8 [R, R, 3], and what is to move in it.

    points are in pixels of it; followed are the indices of those that the network is asked for:
    hair and background it does not know, and what lies there moves alone. starts is where the
    content at each handle is in the photo by now, first what moved it there (None: nothing yet).
    face has the 68 points of the photo's face (None: it is none).
    """

    aligned: UInt8Image
    points: Sequence[DragPoint]
    followed: tuple[int, ...]
    movable: BoolImage | None
    starts: Sequence[XY]
    first: Motion | None
    face: Float32Array | None

    @classmethod
    def read(cls, work: Work, points: Sequence[DragPoint], movable: Tensor | None) -> MovingPhoto:
        """Read a drag's photo, and decide which points the network is asked for."""
        aligned = read_pixels(work.inputs["align"], "aligned.png")
        everything = tuple(range(len(points)))
        face = None
        if work.inputs["align"].request.config["align"] != "none":
            face = load_landmarker().landmarks68(aligned)
        if work.request.config["moves"] == "photo" and face is not None:
            everything = tuple(i for i in everything if on_face(face, points[i].handle))
        starts = [point.handle for point in points]
        first = None
        if "from" in work.inputs:
            # A handle that rests where an earlier drag's was in the end is, in the photo, where
            # that went.
            earlier = work.inputs["from"].info
            ends = zip(earlier["handles"], earlier["went"], strict=True)
            known = {tuple(handle): (x, y) for handle, (x, y) in ends}
            starts = [known.get(handle, handle) for handle in starts]
            first = Motion(read_tensors(work.inputs["from"], DRAG)["motion"].numpy())
        mask = None if movable is None else movable.cpu().numpy()
        return cls(aligned, points, everything, mask, starts, first, face)

    @property
    def held(self) -> list[bool]:
        """Which points the mask holds where they are."""
        if self.movable is None:
            return [False] * len(self.points)
        movable = torch.from_numpy(self.movable)
        return [not may_change(point.handle, movable) for point in self.points]

    @property
    def ends(self) -> list[XY]:
        """Where the points come to in the photo: what the mask holds stays."""
        pairs = zip(self.points, self.held, strict=True)
        return [point.handle if held else point.target for point, held in pairs]

    @property
    def targets(self) -> list[XY]:
        """Where the points are to go."""
        return [point.target for point in self.points]

    def for_network(self, resolution: int) -> list[DragPoint]:
        """Give the points that the network is asked for; their targets in its picture."""
        inside = []
        for i in self.followed:
            x, y = (min(max(v, -0.5), resolution - 0.5) for v in self.points[i].target)
            inside.append(DragPoint(self.points[i].handle, (x, y)))
        return inside

    def places(self, step: DragStep, steps: int) -> list[XY]:
        """Say where all handles are at a step of so many: those alone go along evenly."""
        share = min(step.step / steps, 1.0) if steps else 1.0
        places = []
        for point in self.points:
            (hx, hy), (tx, ty) = point.handle, point.target
            places.append((hx + share * (tx - hx), hy + share * (ty - hy)))
        for i, place in zip(self.followed, step.handles, strict=True):
            places[i] = place
        return places

    def motion(self, before: UInt8Image, after: UInt8Image, ends: Sequence[XY]) -> Motion:
        """Move the points to ends, as the network's face did between two pictures."""
        moves = [DragPoint(start, end) for start, end in zip(self.starts, ends, strict=True)]
        if self.followed:
            asked = [moves[i] for i in self.followed]
            alone = [move for i, move in enumerate(moves) if i not in self.followed]
            faces = self._faces(before, after)
            motion = face_motion(before, after, asked, self.movable, alone, faces)
        else:
            motion = plain_motion(moves, len(self.aligned), self.movable)
        return motion if self.first is None else motion.after(self.first)

    def _faces(self, before: UInt8Image, after: UInt8Image) -> Faces | None:
        """Find the 68 points in all pictures; in a photo that moved already they are elsewhere."""
        if self.face is None or self.first is not None:
            return None
        find = load_landmarker().landmarks68
        return Faces(self.face, find(before), find(after))

    def shown(self, motion: Motion) -> UInt8Image:
        """Give the aligned photo, moved."""
        size = len(self.aligned)
        quad = np.array([[0, 0], [0, size], [size, size], [size, 0]]) - 0.5
        return warp(self.aligned, quad, motion)

    def film(self, motion: Motion) -> list[UInt8Image]:
        """Show the photo on its way, in even steps from the beginning to the end."""
        shares = np.linspace(0, 1, FRAMES, dtype=np.float32)
        return [self.shown(Motion(motion.way * share)) for share in shares]
