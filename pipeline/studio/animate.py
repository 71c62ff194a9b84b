"""A drag as a film: every step from the tuned face to the present one, clean or with its points."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from drag.masks import keep_outside
from pipeline.disk.artifact import Artifact
from pipeline.disk.storage import replace_file, writing
from pipeline.disk.tuned_picture import tuned_picture
from pipeline.disk.workspace import StageMissing, Workspace
from pipeline.jobs.obtain import current
from pipeline.machine.bench import Bench
from pipeline.picture.animation import gif_bytes, moments, spread, webp_bytes
from pipeline.picture.metadata import DIGITAL_SOURCE_TYPE
from pipeline.progress import Job, Step
from pipeline.stages.artifact_files import (
    DRAG,
    between,
    read_inversion,
    read_pixels,
    read_tensors,
    read_tuned,
)
from pipeline.studio.desk import Desk
from stylegan2.arrays import UInt8Image
from stylegan2.images import to_tensor, to_uint8

Format = Literal["mp4", "gif", "webp"]

FPS = 25
HOLD_FRAMES = 20
"""How long the first and the last frame stay in a film."""

LEAST_FRAMES = 30
"""Frames of a drag of few steps; those between its steps are between them in W+."""

MAX_FRAMES = {"mp4": 600, "gif": 60, "webp": 120}
LEAST_SIDE = 512
"""Smaller faces are enlarged, so that films of small networks can be looked at."""

COLOURS = {"handle": (229, 57, 53), "target": (30, 136, 229), "track": (255, 255, 255)}


@dataclass(frozen=True)
class Frame:
    """One moment: latents [1, num_ws, w_dim], handles and targets [P] xy, tracks so far.

    Where movable (bool [R, R]) is False, the picture is `kept`, as in the drag itself.
    """

    ws: torch.Tensor
    handles: list[list[float]]
    targets: list[list[float]]
    tracks: list[list[list[float]]]
    movable: torch.Tensor | None
    kept: UInt8Image


def film(
    desk: Desk, workspace: Workspace, bench: Bench, format: Format, annotated: bool, target: Path
) -> Job[None]:
    """Write the film of all drags that led to the present picture. Raises StageMissing."""
    with (yield from workspace.lock()):
        for stage in ("align", "invert", "tune", "drag"):
            yield from current(workspace, stage, bench)
        made = {stage: desk.current(workspace, stage) for stage in ("invert", "tune", "drag")}
        invert, tune, drag = made["invert"], made["tune"], made["drag"]
        assert invert is not None and tune is not None and drag is not None
        inversion = read_inversion(invert, bench.device)
        generator = read_tuned(bench, invert, tune)
        before = read_pixels(tune, tuned_picture(tune, invert.fingerprint))
        frames = _frames(desk, workspace, drag, before)
        chosen = [frames[i] for i in spread(len(frames), MAX_FRAMES[format])]
        side = generator.resolution * max(1, -(-LEAST_SIDE // generator.resolution))
        pictures = []
        for number, frame in enumerate(chosen, start=1):
            with torch.no_grad():
                image = generator.synthesis(frame.ws.to(bench.device), inversion.noise_consts)
                if frame.movable is not None:
                    kept = to_tensor(frame.kept, bench.device)
                    image = keep_outside(image, kept, frame.movable.to(bench.device))
            picture = _enlarged(to_uint8(image), side)
            if annotated:
                picture = annotate(picture, frame, side / generator.resolution)
            pictures.append(picture)
            yield Step("film", number, len(chosen), {})
        data = ENCODERS[format](pictures)
        with writing(workspace.folder):
            replace_file(target, data)


def _frames(desk: Desk, workspace: Workspace, drag: Artifact, before: UInt8Image) -> list[Frame]:
    chain = [drag]
    while (earlier := chain[0].request.inputs.get("from")) is not None:
        found = desk.made(workspace, f"drag-{earlier[:16]}")
        if found is None:
            break
        chain.insert(0, found)
    frames: list[Frame] = []
    for each in chain:
        tensors = read_tensors(each, DRAG)
        if "moving" not in tensors:
            raise StageMissing("this drag was made by an older version: drag again")
        steps = int(each.info["step"])
        # float16 keeps the film small; its last frame is the result as it is.
        moving, ws = tensors["moving"][: steps + 1].float(), tensors["ws"]
        handles = tensors["handles"][: steps + 1]
        for moment in moments(steps, LEAST_FRAMES, MAX_FRAMES["mp4"]):
            now = between(handles, moment)[0]
            past = torch.cat([handles[: int(moment) + 1], now[None]])
            whole = torch.cat([between(moving, moment), ws[:, moving.shape[1] :]], dim=1)
            frames.append(
                Frame(
                    ws if moment == steps else whole,
                    now.tolist(),
                    each.info["targets"],
                    past.transpose(0, 1).tolist(),
                    tensors.get("movable"),
                    before,
                )
            )
        before = read_pixels(each, "network.png")
    return frames


def _enlarged(picture: UInt8Image, side: int) -> UInt8Image:
    if picture.shape[0] == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def annotate(picture: UInt8Image, frame: Frame, scale: float) -> UInt8Image:
    """Draw tracks, targets and numbered handles on a picture, `scale` times the aligned face."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    radius = max(image.width // 64, 4)
    font = ImageFont.load_default(size=radius * 1.6)

    def at(xy: Sequence[float]) -> tuple[float, float]:
        return (xy[0] + 0.5) * scale - 0.5, (xy[1] + 0.5) * scale - 0.5

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
