"""Make small files of every layout of the field, with stub modules where a layout pickles classes.

All tensors are random and non-zero. The stubs exist only while a file is written: reading must
work without them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylegan2.arrays import Array
from stylegan2.generator import Generator, GeneratorConfig

CONFIG = GeneratorConfig(16, z_dim=8, w_dim=8, mapping_layers=2, channels=(6, 5, 4))


def random_tensors(config: GeneratorConfig = CONFIG, seed: int = 0) -> dict[str, Tensor]:
    """Draw every tensor of a generator under NVIDIA's names (without filters)."""
    rng = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Generator(config).state_dict().items()}
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=rng)
        is_dense = name.startswith("mapping.fc") and name.endswith("weight")
        tensors[name] = 100 * values if is_dense else values
    return tensors


def fir_filter(taps: tuple[float, ...] = (1, 3, 3, 1), gain: float = 1.0) -> Tensor:
    line = torch.tensor([float(tap) for tap in taps])
    return torch.outer(line, line) * gain / line.sum() ** 2


@contextlib.contextmanager
def stub_modules(**members: dict[str, Any]) -> Iterator[None]:
    """Put modules into sys.modules for a while; names are given with __ for the dots."""
    names = []
    for dotted, content in members.items():
        parts = dotted.split("__")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                names.append(name)
        for key, value in content.items():
            value.__module__, value.__qualname__ = ".".join(parts), key
            setattr(sys.modules[".".join(parts)], key, value)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


class EasyDict(dict[str, Any]):
    """Stands in for dnnlib.util.EasyDict."""


class Network:
    """Stands in for dnnlib.tflib.network.Network."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


def _reconstruct_persistent_obj(meta: Any) -> Any:
    """Stands in for torch_utils.persistence; only its name reaches the file."""
    raise AssertionError("never called")


class Persistent(nn.Module):
    """A module that pickles as NVIDIA's persistent classes do: its source and its attributes."""

    def __init__(self, class_name: str, source: str, **attributes: Any) -> None:
        super().__init__()
        self._class_name = class_name
        self._source = source
        for name, value in attributes.items():
            setattr(self, name, value)

    def __reduce__(self) -> Any:
        state = dict(self.__dict__)
        source, class_name = state.pop("_source"), state.pop("_class_name")
        meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }
        return _reconstruct_persistent_obj, (meta,), None


STUBS: dict[str, dict[str, Any]] = {
    "torch_utils__persistence": {"_reconstruct_persistent_obj": _reconstruct_persistent_obj},
    "dnnlib__util": {"EasyDict": EasyDict},
    "dnnlib__tflib__network": {"Network": Network},
}


# ---------------------------------------------------------------------------------------------
# NVIDIA's PyTorch classes


def nvidia_module(
    tensors: Mapping[str, Tensor],
    *,
    conv_clamp: float | None = None,
    c_dim: int = 0,
    architecture: str = "skip",
    activation: str = "lrelu",
    taps: tuple[float, ...] = (1, 3, 3, 1),
    learning_rate: float = 0.01,
    source: str = "raise SystemExit('the source was executed')",
) -> Persistent:
    """Build the tree of stub objects that a Generator pickles as."""
    config = {"conv_clamp": conv_clamp} if conv_clamp is not None else {}
    root = Persistent(
        "Generator", source, c_dim=c_dim, z_dim=8, w_dim=8, img_resolution=16, img_channels=3,
        _init_args=(), _init_kwargs=EasyDict(synthesis_kwargs=EasyDict(config)),
    )  # fmt: skip
    for name, tensor in tensors.items():
        module = root
        *path, last = name.split(".")
        for depth, part in enumerate(path, start=1):
            if part not in dict(module.named_children()):
                kind = "FullyConnectedLayer"
                attributes: dict[str, Any] = {"activation": "linear"}
                if part.startswith("conv"):
                    attributes = {
                        "conv_clamp": conv_clamp, "activation": activation,
                        "act_gain": np.sqrt(2), "use_noise": True,
                    }  # fmt: skip
                    kind = "SynthesisLayer"
                elif part.startswith("fc"):
                    attributes = {"activation": "lrelu", "bias_gain": learning_rate}
                elif part.startswith("b") and depth == 2:
                    kind, attributes = "SynthesisBlock", {"architecture": architecture}
                child = Persistent(kind, source, **attributes)
                if kind.startswith("Synthesis"):
                    child.register_buffer("resample_filter", fir_filter(taps))
                module.add_module(part, child)
            found = module.get_submodule(part)
            assert isinstance(found, Persistent)
            module = found
        if last in ("w_avg", "noise_const"):
            module.register_buffer(last, tensor.clone())
        else:
            module.register_parameter(last, nn.Parameter(tensor.clone(), requires_grad=False))
    return root


def ada_pickle(tensors: Mapping[str, Tensor], *, protocol: int = 4, **options: Any) -> bytes:
    """Pickle {"G", "D", "G_ema", ...} the way NVIDIA's training loops do."""
    other = {name: tensor + 1 for name, tensor in tensors.items()}
    with stub_modules(**STUBS):
        networks = {
            "G": nvidia_module(other, **options),
            "D": Persistent("Discriminator", "raise SystemExit", c_dim=0),
            "G_ema": nvidia_module(tensors, **options),
            "training_set_kwargs": EasyDict(path="/data/ffhq.zip", use_labels=False),
            "augment_pipe": None,
        }
        return pickle.dumps(networks, protocol)


def pti_file(tensors: Mapping[str, Tensor], *, zipped: bool = True, **options: Any) -> bytes:
    """torch.save a whole generator module, as PTI does."""
    with stub_modules(**STUBS):
        return torch_save(nvidia_module(tensors, **options), zipped=zipped)


def torch_save(thing: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def stylegan3_pickle() -> bytes:
    """Pickle something with the parts of a StyleGAN3 generator."""
    tensors = {
        "synthesis.input.freqs": torch.randn(8, 2),
        "synthesis.input.weight": torch.randn(8, 8),
        "synthesis.L0_36_8.weight": torch.randn(8, 8, 3, 3),
        "mapping.fc0.weight": torch.randn(8, 8),
        "mapping.w_avg": torch.randn(8),
    }
    return ada_pickle(tensors)


# ---------------------------------------------------------------------------------------------
# Legacy TensorFlow


def tensorflow_variables(config: GeneratorConfig = CONFIG, seed: int = 0) -> dict[str, Array]:
    """Draw the variables of a TensorFlow generator, by their full names and in its shapes."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "dlatent_avg": (config.w_dim,),
        "synthesis/4x4/Const/const": (1, config.channels[0], *config.first_block),
    }
    fan_in = config.z_dim
    for layer in range(config.mapping_layers):
        shapes[f"mapping/Dense{layer}/weight"] = (fan_in, config.w_dim)
        shapes[f"mapping/Dense{layer}/bias"] = (config.w_dim,)
        fan_in = config.w_dim
    before = 0
    noise = 0
    for size, width in zip(config.block_resolutions, config.channels, strict=True):
        names = [("Conv0_up", before), ("Conv1", width)] if size > 4 else [("Conv", width)]
        for name, inputs in [*names, ("ToRGB", width)]:
            scope = f"synthesis/{size}x{size}/{name}"
            rgb = name == "ToRGB"
            kernel = (1, 1, inputs, 3) if rgb else (3, 3, inputs, width)
            shapes[f"{scope}/weight"] = kernel
            shapes[f"{scope}/bias"] = kernel[3:]
            shapes[f"{scope}/mod_weight"] = (config.w_dim, inputs)
            shapes[f"{scope}/mod_bias"] = (inputs,)
            if not rgb:
                shapes[f"{scope}/noise_strength"] = ()
                shapes[f"synthesis/noise{noise}"] = (1, 1, *config.block_shape(size))
                noise += 1
        before = width
    values = {
        name: np.asarray(rng.standard_normal(shape), np.float32) for name, shape in shapes.items()
    }
    for name in values:
        if name.startswith("mapping/") and name.endswith("weight"):
            values[name] *= 100
    return values


def tensorflow_pickle(
    variables: Mapping[str, Array], *, protocol: int = 4, version: int = 4, **options: Any
) -> bytes:
    """Pickle (G, D, Gs) with each part's variables under its own names."""

    def network(offset: float) -> Network:
        parts: dict[str, list[tuple[str, Array]]] = {"": [], "synthesis": [], "mapping": []}
        for name, value in variables.items():
            part, _, rest = name.partition("/")
            shifted = np.asarray(value + offset, value.dtype)
            parts[part if rest else ""].append((rest or name, shifted))
        parts["synthesis"].append(("lod", np.float32(0)))
        components = EasyDict(
            {
                name: Network(version=version, static_kwargs=EasyDict(), components=EasyDict(),
                              build_module_src="raise SystemExit", variables=parts[name])
                for name in ("synthesis", "mapping")
            }
        )  # fmt: skip
        return Network(
            version=version, name="G", static_kwargs=EasyDict(resolution=16, **options),
            components=components, build_module_src="raise SystemExit('executed')",
            build_func_name="G_main", variables=parts[""],
        )  # fmt: skip

    with stub_modules(**STUBS):
        return pickle.dumps((network(1.0), Network(version=version), network(0.0)), protocol)


# ---------------------------------------------------------------------------------------------
# rosinality


def rosinality_tensors(config: GeneratorConfig = CONFIG, seed: int = 0) -> dict[str, Tensor]:
    """Draw the state dict of a rosinality generator, buffers included."""
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {
        "input.input": torch.empty(1, config.channels[0], *config.first_block)
    }
    fan_in = config.z_dim
    for layer in range(config.mapping_layers):
        state[f"style.{layer + 1}.weight"] = torch.empty(config.w_dim, fan_in)
        state[f"style.{layer + 1}.bias"] = torch.empty(config.w_dim)
        fan_in = config.w_dim

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        state[f"{name}.conv.weight"] = torch.empty(1, outputs, inputs, kernel, kernel)
        state[f"{name}.conv.modulation.weight"] = torch.empty(inputs, config.w_dim)
        state[f"{name}.conv.modulation.bias"] = torch.empty(inputs)
        if kernel == 1:
            state[f"{name}.bias"] = torch.empty(1, outputs, 1, 1)
        else:
            state[f"{name}.noise.weight"] = torch.empty(1)
            state[f"{name}.activate.bias"] = torch.empty(outputs)

    convolution("conv1", config.channels[0], config.channels[0], 3)
    convolution("to_rgb1", config.channels[0], 3, 1)
    state["noises.noise_0"] = torch.empty(1, 1, *config.first_block)
    for block in range(len(config.channels) - 1):
        inputs, outputs = config.channels[block : block + 2]
        shape = config.block_shape(8 << block)
        convolution(f"convs.{2 * block}", inputs, outputs, 3)
        convolution(f"convs.{2 * block + 1}", outputs, outputs, 3)
        convolution(f"to_rgbs.{block}", outputs, 3, 1)
        state[f"noises.noise_{2 * block + 1}"] = torch.empty(1, 1, *shape)
        state[f"noises.noise_{2 * block + 2}"] = torch.empty(1, 1, *shape)
    for name, tensor in state.items():
        state[name] = torch.randn(tensor.shape, generator=rng)
        if name.startswith("style.") and name.endswith("weight"):
            state[name] *= 100
    for block in range(len(config.channels) - 1):
        state[f"convs.{2 * block}.conv.blur.kernel"] = fir_filter(gain=4.0)
        state[f"to_rgbs.{block}.upsample.kernel"] = fir_filter(gain=4.0)
    return state


def rosinality_file(
    state: Mapping[str, Tensor], latent_avg: Tensor | None, *, zipped: bool = True
) -> bytes:
    """torch.save {"g_ema", "latent_avg", ...}; a training checkpoint when there is no mean."""
    if latent_avg is not None:
        return torch_save({"g_ema": dict(state), "latent_avg": latent_avg}, zipped=zipped)
    optimizer = {"state": {0: {"step": 5, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    checkpoint = {
        "g": {name: tensor + 1 for name, tensor in state.items()},
        "g_ema": dict(state),
        "g_optim": optimizer,
        "args": argparse.Namespace(size=16),
        "ada_aug_p": 0.0,
    }
    return torch_save(checkpoint, zipped=zipped)


def psp_file(
    state: Mapping[str, Tensor],
    mean: Tensor,
    *,
    parallel: bool = False,
    encoder: Mapping[str, Tensor] | None = None,
    kind: str = "Encoder4Editing",
) -> bytes:
    """torch.save {"state_dict", "latent_avg", "opts"}: pSp's layout, also e4e's and ReStyle's.

    Names of the encoder and of the decoder, a rosinality generator, lie side by side, each with
    its prefix; the mean latent is kept once for every layer.
    """
    lead = "module." if parallel else ""
    tensors = {f"{lead}decoder.{name}": tensor for name, tensor in state.items()}
    if encoder is None:
        names = ("input_layer.0", "body.0.res_layer.1", "styles.0.convs.0")
        encoder = {f"{name}.weight": torch.ones(3, 3, 3, 3) for name in names}
    tensors.update({f"{lead}encoder.{name}": tensor for name, tensor in encoder.items()})
    layers = 2 * sum(name.startswith("to_rgb") and name.endswith("conv.weight") for name in state)
    opts = {"encoder_type": kind, "output_size": 16, "device": "cuda:0"}
    return torch_save({"state_dict": tensors, "latent_avg": mean.repeat(layers, 1), "opts": opts})


def style_encoder_tensors(
    heads: int = 6, w_dim: int = 8, widths: tuple[int, ...] = (2, 3, 4, 5), seed: int = 0
) -> dict[str, Tensor]:
    """Draw pSp's or e4e's encoder, narrow, with two units of each width: their names and shapes.

    The first two heads read maps of 16 pixels, the next two of 32, the rest of 64.
    """
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def convolution(name: str, inputs: int, outputs: int, kernel: int, bias: bool = False) -> None:
        scale = (inputs * kernel * kernel) ** -0.5
        shape = (outputs, inputs, kernel, kernel)
        state[f"{name}.weight"] = scale * torch.randn(shape, generator=rng)
        if bias:
            state[f"{name}.bias"] = torch.randn(outputs, generator=rng)

    def norm(name: str, width: int) -> None:
        for what in ("weight", "bias", "running_mean"):
            state[f"{name}.{what}"] = 0.5 + 0.3 * torch.randn(width, generator=rng)
        state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=rng)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def slopes(name: str, width: int) -> None:
        state[f"{name}.weight"] = 0.25 * torch.rand(width, generator=rng)

    convolution("input_layer.0", 3, widths[0], 3)
    norm("input_layer.1", widths[0])
    slopes("input_layer.2", widths[0])
    before, number = widths[0], 0
    for width in widths:
        for _ in range(2):
            unit = f"body.{number}"
            norm(f"{unit}.res_layer.0", before)
            convolution(f"{unit}.res_layer.1", before, width, 3)
            slopes(f"{unit}.res_layer.2", width)
            convolution(f"{unit}.res_layer.3", width, width, 3)
            norm(f"{unit}.res_layer.4", width)
            convolution(f"{unit}.res_layer.5.fc1", width, 1, 1)
            convolution(f"{unit}.res_layer.5.fc2", 1, width, 1)
            if width != before:
                convolution(f"{unit}.shortcut_layer.0", before, width, 1)
                norm(f"{unit}.shortcut_layer.1", width)
            before, number = width, number + 1
    convolution("latlayer1", widths[2], widths[3], 1, bias=True)
    convolution("latlayer2", widths[1], widths[3], 1, bias=True)
    for head in range(heads):
        inputs = widths[3]
        for step in range(4 + min(head // 2, 2)):
            convolution(f"styles.{head}.convs.{2 * step}", inputs, w_dim, 3, bias=True)
            inputs = w_dim
        state[f"styles.{head}.linear.weight"] = torch.randn(w_dim, w_dim, generator=rng)
        state[f"styles.{head}.linear.bias"] = torch.randn(w_dim, generator=rng)
    return state


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path
