"""Generators as safetensors: in, out, compared, and stored as the difference from another.

Tensor names and shapes are NVIDIA's. The constant resampling filters that NVIDIA's checkpoints
repeat in every layer are not stored.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from stylegan2.generator import Generator, GeneratorConfig
from stylegan2.ops import is_usual_filter
from stylegan2.whole_file import replacing

FORMAT = "realdrag-stylegan2"


class WeightsInvalid(Exception):
    """A file does not hold the weights of a generator that we can build."""


def config_from_tensors(
    shapes: Mapping[str, tuple[int, ...]], conv_clamp: float | None = None
) -> GeneratorConfig:
    """Read every size of a generator off the shapes of its tensors.

    Raises WeightsInvalid naming the first tensor that is missing or does not fit.
    """

    def shape(name: str, ndim: int) -> tuple[int, ...]:
        if name not in shapes:
            raise WeightsInvalid(f"these are not StyleGAN2 generator weights: {name} is missing")
        if len(shapes[name]) != ndim:
            raise WeightsInvalid(f"{name} should have {ndim} dimensions, has shape {shapes[name]}")
        return tuple(shapes[name])

    blocks = sorted(
        int(found[1])
        for name in shapes
        if (found := re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", name))
    )
    if not blocks:
        raise WeightsInvalid("these are not StyleGAN2 generator weights: no synthesis blocks found")
    if blocks != [4 << i for i in range(len(blocks))]:
        raise WeightsInvalid(f"synthesis blocks should double from 4, found {blocks}")
    layers = 0
    while f"mapping.fc{layers}.weight" in shapes:
        layers += 1
    if layers == 0:
        raise WeightsInvalid("mapping.fc0.weight is missing")
    _, height, width = shape("synthesis.b4.const", 3)
    try:
        return GeneratorConfig(
            resolution=blocks[-1],
            z_dim=shape("mapping.fc0.weight", 2)[1],
            w_dim=shape("synthesis.b4.conv1.affine.weight", 2)[1],
            mapping_layers=layers,
            channels=tuple(shape(f"synthesis.b{r}.conv1.weight", 4)[0] for r in blocks),
            img_channels=shape(f"synthesis.b{blocks[-1]}.torgb.weight", 4)[0],
            conv_clamp=conv_clamp,
            first_block=(height, width),
        )
    except ValueError as error:
        raise WeightsInvalid(str(error)) from None


def build_generator(
    tensors: Mapping[str, Tensor],
    conv_clamp: float | None = None,
    device: torch.device | str = "cpu",
) -> Generator:
    """Make a frozen float32 generator that holds exactly these tensors.

    Raises WeightsInvalid for a missing, surplus, misshapen or non-finite tensor.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    config = config_from_tensors(shapes, conv_clamp)
    with torch.device("meta"):
        generator = Generator(config)
    expected = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
    if missing := sorted(expected.keys() - shapes.keys()):
        raise WeightsInvalid(f"tensor {missing[0]} is missing ({len(missing)} in all)")
    if surplus := sorted(shapes.keys() - expected.keys()):
        raise WeightsInvalid(f"tensor {surplus[0]} does not belong there ({len(surplus)} in all)")
    for name, wanted in expected.items():
        if shapes[name] != wanted:
            raise WeightsInvalid(f"{name} should be {wanted}, is {shapes[name]}")
        if not tensors[name].isfinite().all():
            raise WeightsInvalid(f"{name} holds values that are not finite")
    own = generator.state_dict(keep_vars=True)
    state = {name: _placed(tensor, own[name], device) for name, tensor in tensors.items()}
    generator.load_state_dict(state, assign=True)
    return generator.eval().requires_grad_(False)


def _placed(tensor: Tensor, like: Tensor, device: torch.device | str) -> Tensor:
    """Copy a tensor to the device, as the kind of parameter or buffer that `like` is."""
    # Depthwise filters are several times as fast with channels last, on a CPU above all.
    layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
    copied = tensor.to(device, torch.float32, copy=True, memory_format=layout)
    return type(like)(copied) if isinstance(like, nn.Parameter) else copied


def save_generator(
    generator: Generator,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a generator as safetensors, through a temporary file that is renamed when complete.

    metadata (name, licence, ...) travels in the header; dtype float16 halves the size.
    """
    header = {**(metadata or {}), "format": FORMAT}
    if generator.config.conv_clamp is not None:
        header["conv_clamp"] = repr(generator.config.conv_clamp)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in generator.state_dict().items()
    }
    with replacing(path) as partial:
        partial.write_bytes(save(tensors, metadata=header))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], float | None]:
    """Read all tensors of a safetensors file, and the clamp where its header states one.

    Raises WeightsInvalid when the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise WeightsInvalid(f"{path} does not exist") from None
    except (SafetensorError, OSError) as error:
        raise WeightsInvalid(f"{path} is not a readable safetensors file: {error}") from error
    if "conv_clamp" not in header:
        return tensors, None
    stated = header["conv_clamp"]
    try:
        return tensors, float(stated)
    except ValueError:
        raise WeightsInvalid(f"{path}: its conv_clamp is no number: {stated[:40]!r}") from None


def load_generator(path: Path, device: torch.device | str = "cpu") -> Generator:
    """Read a generator written by `save_generator`, or any safetensors with NVIDIA's names.

    Raises WeightsInvalid when the file is damaged or holds something else.
    """
    tensors, clamp = read_safetensors(path)
    for name in [name for name in tensors if name.endswith("resample_filter")]:
        if is_usual_filter(tensors[name]):
            del tensors[name]
    try:
        return build_generator(tensors, clamp, device)
    except WeightsInvalid as error:
        raise WeightsInvalid(f"{path}: {error}") from None


def weights_hash(generator: Generator) -> str:
    """Return the sha256 over names, shapes and float32 values of all tensors, and the clamp."""
    digest = hashlib.sha256(f"conv_clamp={generator.config.conv_clamp}\n".encode())
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def weight_delta(base: Generator, tuned: Generator) -> dict[str, Tensor]:
    """Return what tuning changed, as float16 tensors with one float32 scale each (lossy).

    Names are "<tensor>" [same shape, values in -1..1] and "<tensor>.scale" []; unchanged tensors
    are left out. At 1024 pixels this takes 60 MB where the generator takes 120.
    """
    delta: dict[str, Tensor] = {}
    tuned_tensors = tuned.state_dict()
    for name, before in base.state_dict().items():
        change = (tuned_tensors[name].detach() - before.detach()).to("cpu", torch.float32)
        scale = change.abs().max()
        if scale > 0:
            delta[name] = (change / scale).half()
            delta[f"{name}.scale"] = scale
    return delta


def apply_delta(base: Generator, delta: Mapping[str, Tensor]) -> Generator:
    """Return a new generator: base plus a difference made by `weight_delta`.

    Raises WeightsInvalid when the difference was made for other shapes.
    """
    tensors = {name: tensor.detach().clone() for name, tensor in base.state_dict().items()}
    for name, change in delta.items():
        if name.endswith(".scale"):
            continue
        if (
            name not in tensors
            or tensors[name].shape != change.shape
            or f"{name}.scale" not in delta
        ):
            raise WeightsInvalid(f"the stored tuning does not fit this network: {name}")
        scaled = change.float() * delta[f"{name}.scale"].float()
        tensors[name] += scaled.to(tensors[name].device)
    return build_generator(tensors, base.config.conv_clamp, base.mapping.w_avg.device)


def parameter_count(generator: Generator) -> int:
    """Return the number of trained values."""
    return sum(math.prod(p.shape) for p in generator.parameters())
