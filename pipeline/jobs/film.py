"""A drag as a film: the photo on its way to the present picture, clean or with its points."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from inversion.faces.alignment import aligned_to_photo
from pipeline.disk.artifact import Artifact, ArtifactCorrupt, read_artifact
from pipeline.disk.storage import replace_file, writing
from pipeline.disk.workspace import Workspace
from pipeline.jobs.obtain import current
from pipeline.machine.bench import Bench
from pipeline.picture.animation import gif_bytes, moments, spread, webp_bytes
from pipeline.picture.closeup import closeup
from pipeline.picture.motion import Motion
from pipeline.picture.photo import read_photo
from pipeline.picture.xmp import DIGITAL_SOURCE_TYPE
from pipeline.progress import Job, Step
from pipeline.stages.artifact_files import DRAG, between, read_tensors
from pipeline.stages.moved import Moved, read_moved
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.sizes import Size

Format = Literal["mp4", "gif", "webp"]
FORMATS: Mapping[str, Format] = {".mp4": "mp4", ".gif": "gif", ".webp": "webp"}

FPS = 25
HOLD_FRAMES = 20
"""How long the first and the last frame stay in a film."""

LEAST_FRAMES = 30
"""Frames of a drag of few steps."""

MAX_FRAMES = {"mp4": 600, "gif": 60, "webp": 120}
SIDE = 720
LEAST_SIDE = 480
"""Larger sides of what a film shows are made so small; smaller ones so large."""

COLOURS = {"handle": (229, 57, 53), "target": (30, 136, 229), "track": (255, 255, 255)}


@dataclass(frozen=True)
class Frame:
    """One moment: what has become of the photo, handles and targets [P] xy, tracks so far."""

    moved: Moved
    handles: list[list[float]]
    targets: list[list[float]]
    tracks: list[list[list[float]]]


def film(
    workspace: Workspace, bench: Bench, format: Format, annotated: bool, target: Path
) -> Job[None]:
    """Write the film of all drags that led to the present picture, made of the photo's own pixels.

    Its last picture is the result. Raises StageMissing.
    """
    with (yield from workspace.lock()):
        align = yield from current(workspace, "align", bench)
        drag = yield from current(workspace, "drag", bench)
        result = yield from current(workspace, "result", bench)
        quad = np.array(align.info["quad"], dtype=np.float64)
        scene = _Scene(read_photo(align.path(align.info["photo"])).pixels, quad)
        name = f"result.{result.request.config['result']['format']}"
        end = scene.scaled(read_photo(result.path(name)).pixels)
        frames = _frames(workspace, drag)
        chosen = [frames[i] for i in spread(len(frames), MAX_FRAMES[format])]
        to_film = scene.from_aligned(align.info["size"])
        pictures = []
        for number, frame in enumerate(chosen, start=1):
            picture = end if number == len(chosen) else frame.moved.of(scene.photo, scene.quad)
            if annotated:
                picture = annotate(picture, frame, to_film)
            pictures.append(picture)
            yield Step("film", number, len(chosen), {})
        data = ENCODERS[format](pictures)
        with writing(workspace.folder):
            replace_file(target, data)


class _Scene:
    """The part of a photo that a film shows, at the film's size, and where the crop lies in it."""

    def __init__(self, pixels: UInt8Image, quad: Float64Array) -> None:
        self._part = closeup(quad.tolist(), pixels.shape[1::-1])
        larger = max(self._part.width, self._part.height)
        scale = min(SIDE / larger, max(1.0, LEAST_SIDE / larger))
        # Encoders of films take even sides only.
        width, height = (
            max(2, 2 * round(side * scale / 2)) for side in (self._part.width, self._part.height)
        )
        self._size = width, height
        self.photo = self.scaled(pixels)
        self._stretch = np.array(self._size) / (self._part.width, self._part.height)
        corner = (self._part.x, self._part.y)
        self.quad = (quad + 0.5 - corner) * self._stretch - 0.5

    def scaled(self, pixels: UInt8Image) -> UInt8Image:
        """Cut the part out of a picture as large as the photo."""
        part = Image.fromarray(np.ascontiguousarray(pixels[self._part.rows, self._part.columns]))
        return np.asarray(part.resize(self._size, Image.Resampling.LANCZOS))

    def from_aligned(self, size: Size) -> Float64Array:
        """Return the matrix [3, 3] from pixels of the aligned face to the film's."""
        return aligned_to_photo(self.quad, size)


def _frames(workspace: Workspace, drag: Artifact) -> list[Frame]:
    chain = [drag]
    while (earlier := chain[0].request.inputs.get("from")) is not None:
        try:
            chain.insert(0, read_artifact(workspace.artifacts / f"drag-{earlier[:16]}"))
        except ArtifactCorrupt:
            break  # the film begins with the drag after it
    frames: list[Frame] = []
    before: Moved | None = None
    for each in chain:
        tensors = read_tensors(each, DRAG)
        steps = int(each.info["step"])
        handles = tensors["handles"][: steps + 1]
        after = read_moved(each)
        whole = float((handles[-1] - handles[0]).norm())
        # Where no generator was asked, there is no step, but there is a way.
        last = max(steps, 1)
        for moment in moments(last, LEAST_FRAMES, MAX_FRAMES["mp4"]):
            now = between(handles, moment)[0]
            past = torch.cat([handles[: int(moment) + 1], now[None]])
            share = min(float((now - handles[0]).norm()) / whole, 1.0) if whole else moment / last
            frames.append(
                Frame(
                    _between(before, after, share),
                    now.tolist(),
                    each.info["targets"],
                    past.transpose(0, 1).tolist(),
                )
            )
        before = after
    return frames


def _between(before: Moved | None, after: Moved, share: float) -> Moved:
    """Return the photo on its way from one drag's end to the next one's."""
    part = after.part(share)
    if before is None:
        return part
    rest = np.float32(1 - share) * before.motion.way
    return replace(part, motion=Motion(part.motion.way + rest))


def annotate(picture: UInt8Image, frame: Frame, to_film: Float64Array) -> UInt8Image:
    """Draw tracks, targets and numbered handles on a picture; to_film maps aligned pixels to it."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    radius = max(image.width // 64, 4)
    font = ImageFont.load_default(size=radius * 1.6)

    def at(xy: Sequence[float]) -> tuple[float, float]:
        x, y, _ = to_film @ (xy[0], xy[1], 1.0)
        return float(x), float(y)

    for track in frame.tracks:
        if len(track) > 1:
            draw.line([at(xy) for xy in track], fill=COLOURS["track"], width=max(radius // 3, 1))
    for number, (handle, target) in enumerate(
        zip(frame.handles, frame.targets, strict=True), start=1
    ):
        for xy, colour in ((target, COLOURS["target"]), (handle, COLOURS["handle"])):
            x, y = at(xy)
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, fill=colour, outline=(255, 255, 255), width=max(radius // 4, 1))
        x, y = at(handle)
        draw.text((x, y), str(number), fill=(255, 255, 255), font=font, anchor="mm")
    return np.asarray(image)


def mp4_bytes(pictures: Sequence[UInt8Image]) -> bytes:
    """Encode uint8 [H, W, 3] frames as H.264 in MP4 that every browser plays."""
    import av

    held = [pictures[0]] * HOLD_FRAMES + list(pictures) + [pictures[-1]] * HOLD_FRAMES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        # With its index at the front a film starts before it is loaded; that needs a second pass.
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            container.metadata["comment"] = DIGITAL_SOURCE_TYPE
            stream = container.add_stream("libx264", rate=Fraction(FPS), options={"crf": "18"})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            for picture in held:
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path.read_bytes()


ENCODERS: Mapping[Format, Callable[[Sequence[UInt8Image]], bytes]] = {
    "mp4": mp4_bytes,
    "gif": gif_bytes,
    "webp": webp_bytes,
}
