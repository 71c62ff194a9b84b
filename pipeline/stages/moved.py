"""How a photo has moved, and what is new in it; kept on disk with its drag."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.disk.artifact import Artifact, Draft
from pipeline.picture.fresh_mouth import FreshMouth
from pipeline.picture.inner_mouth import InnerMouth
from pipeline.picture.lids import ShutEye
from pipeline.picture.motion import Motion
from pipeline.picture.photo_writer import write_photo
from pipeline.picture.warp import warp
from pipeline.stages.artifact_files import DRAG, read_pixels, read_tensors
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.sizes import sides

MOUTH_PICTURE = "mouth.png"
"""What the network drew when it opened a mouth that was closed."""

SHUT_EYES = ("shut_eye_left", "shut_eye_right")
"""Names of the lines of eyes that are shut, left and right in the picture."""


@dataclass(frozen=True)
class Moved:
    """How a photo moves, and what is new in it."""

    motion: Motion
    mouth: FreshMouth | InnerMouth | None = None
    shut_eyes: tuple[ShutEye, ...] = ()

    def of(self, pixels: UInt8Image, quad: Float64Array) -> UInt8Image:
        """Return a photo, uint8 [H, W, 3], moved; quad is where its crop lies."""
        result = warp(pixels, quad, self.motion)
        if self.mouth is not None:
            result = self.mouth.put(pixels, result, quad)
        for eye in self.shut_eyes:
            result = eye.put(pixels, result, quad, self.motion)
        return result

    def part(self, share: float) -> Moved:
        """Return that share of the way."""
        mouth = self.mouth
        if mouth is not None:
            # The lips' way is known where they are in the end, and so is where they came from.
            ends = mouth.ends + (1 - share) * self.motion.at(mouth.ends, mouth.size)
            mouth = replace(mouth, ends=ends)
        # On the way lids are apart.
        eyes = self.shut_eyes if share == 1 else ()
        return Moved(Motion(self.motion.way * np.float32(share)), mouth, eyes)

    def mouth_after(self, later: Motion) -> FreshMouth | InnerMouth | None:
        """Return the new mouth as it is once the photo has moved further."""
        if self.mouth is None:
            return None
        ends = self.mouth.ends - later.at(self.mouth.ends, self.mouth.size)
        return replace(self.mouth, ends=ends)

    def eyes_after(self, later: Motion) -> tuple[ShutEye, ...]:
        """Return the shut eyes as they are once the photo has moved further."""
        return tuple(replace(eye, line=later.goes(eye.line, eye.size)) for eye in self.shut_eyes)

    def write(self, draft: Draft) -> dict[str, Tensor]:
        """Write what is a picture, and return what is tensors."""
        tensors = {"motion": torch.from_numpy(self.motion.way)}
        if isinstance(self.mouth, InnerMouth):
            ways = np.stack([self.mouth.starts, self.mouth.ends])
            tensors["inner_mouth"] = torch.from_numpy(ways)
            tensors["crop"] = torch.tensor(sides(self.mouth.size))
        elif self.mouth is not None:
            write_photo(self.mouth.picture, draft.path(MOUTH_PICTURE))
            tensors["mouth"] = torch.from_numpy(np.stack([self.mouth.drawn, self.mouth.ends]))
        for eye in self.shut_eyes:
            lines = np.stack([eye.line, eye.upper, eye.lower])
            tensors[SHUT_EYES[eye.number]] = torch.from_numpy(lines)
            tensors["crop"] = torch.tensor(sides(eye.size))
        return tensors


def read_moved(drag: Artifact) -> Moved:
    """Read how a drag moved the photo."""
    tensors = read_tensors(drag, DRAG)
    mouth: FreshMouth | InnerMouth | None = None
    if "mouth" in tensors:
        drawn, ends = tensors["mouth"].numpy()
        mouth = FreshMouth(read_pixels(drag, MOUTH_PICTURE), drawn, ends)
    elif "inner_mouth" in tensors:
        starts, ends = tensors["inner_mouth"].numpy()
        mouth = InnerMouth(tensors["crop"].tolist(), starts, ends)
    eyes = tuple(
        ShutEye(number, tensors["crop"].tolist(), *tensors[name].numpy())
        for number, name in enumerate(SHUT_EYES)
        if name in tensors
    )
    return Moved(Motion(tensors["motion"].numpy()), mouth, eyes)
