"""Pictures and tensors as stages write them, and as they read them from each other."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

from inversion.projection import Inversion
from pipeline.disk.artifact import Artifact, Draft
from pipeline.machine.bench import Bench
from pipeline.picture.photo_writer import write_photo
from stylegan2.arrays import UInt8Image
from stylegan2.checkpoint import apply_delta
from stylegan2.generator import Generator
from stylegan2.images import to_tensor, to_uint8

LATENT = "latent.safetensors"
DELTA = "delta.safetensors"
DRAG = "drag.safetensors"


def png_bytes(pixels: UInt8Image) -> bytes:
    """Encode a picture that is only a part of the photo, uint8 [H, W, 3], as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_made(draft: Draft, name: str, image: Tensor) -> None:
    """Write what a network rendered, [1, 3, H, W], marked as such."""
    write_photo(to_uint8(image), draft.path(name))


def read_pixels(artifact: Artifact, name: str) -> UInt8Image:
    """Read a PNG of an artifact as uint8 [H, W, 3]."""
    with Image.open(artifact.path(name)) as image:
        pixels: UInt8Image = np.array(image.convert("RGB"))
    return pixels


def read_target(align: Artifact, device: str) -> Tensor:
    """Read the aligned face as [1, 3, H, W] in [-1, 1]."""
    return to_tensor(read_pixels(align, "aligned.png"), device)


def write_tensors(draft: Draft, name: str, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    whole = {key: tensor.detach().to("cpu").contiguous() for key, tensor in tensors.items()}
    draft.write(name, save(whole))


def read_tensors(artifact: Artifact, name: str) -> dict[str, Tensor]:
    """Read the tensors of an artifact's file, on the CPU."""
    return load(artifact.path(name).read_bytes())


def stored(inversion: Inversion) -> dict[str, Tensor]:
    """Return an inversion's tensors for writing; noise in float16 halves their size."""
    noise = {f"noise.{name}": each.half() for name, each in inversion.noise_consts.items()}
    return {"w_pivot": inversion.w_pivot.float(), **noise}


def restored(tensors: Mapping[str, Tensor], device: str) -> Inversion:
    """Return the inversion that `stored` gave."""
    noise = {
        name.removeprefix("noise."): each.float().to(device)
        for name, each in tensors.items()
        if name.startswith("noise.")
    }
    return Inversion(tensors["w_pivot"].to(device), noise)


def read_inversion(invert: Artifact, device: str) -> Inversion:
    """Read what projection found."""
    return restored(read_tensors(invert, LATENT), device)


def base_generator(bench: Bench, invert: Artifact) -> Generator:
    """Load the network that an inversion was made with."""
    request = invert.request
    return bench.generator(request.hints["network"], request.config["weights"])


def read_tuned(bench: Bench, invert: Artifact, tune: Artifact) -> Generator:
    """Load the tuned generator: its base plus the stored difference."""
    return apply_delta(base_generator(bench, invert), read_tensors(tune, DELTA))


@torch.no_grad()
def render(generator: Generator, inversion: Inversion) -> Tensor:
    """Render an inversion with its own noise: [1, 3, H, W]."""
    picture: Tensor = generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    return picture


def between(values: Tensor, moment: float) -> Tensor:
    """Read values [N, ...], one a step, at a moment, linearly: [1, ...]."""
    first = min(int(moment), len(values) - 1)
    after = min(first + 1, len(values) - 1)
    return torch.lerp(values[first : first + 1], values[after : after + 1], moment - first)
