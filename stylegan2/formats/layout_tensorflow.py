"""Legacy TensorFlow generators: pickles of (G, D, Gs), each with its variables.

Kernels are [k, k, in, out] and dense weights [in, out]; the up-convolutions are stored rotated by
180 degrees; affine biases lack the 1 that is added at run time. NVIDIA's own converter documents
the same (NVlabs/stylegan2-ada-pytorch, legacy.py).
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.layouts import (
    MAX_PARTS,
    ForeignWeights,
    UnsupportedNetwork,
    check_activation,
    check_architecture,
    check_labels,
    load_all,
    named,
    noise_layer,
    number,
    scale_mapping,
    with_noise,
)
from stylegan2.formats.stored import Record
from stylegan2.ops import FIR_TAPS

_TF_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}
_TF_TENSORS = {
    "weight": "weight",
    "bias": "bias",
    "noise_strength": "noise_strength",
    "mod_weight": "affine.weight",
    "mod_bias": "affine.bias",
}


def from_tensorflow(generator: Record, limit: int) -> ForeignWeights:
    """Read a Network object's variables and options. Raises as `load_network` does."""
    if (number(generator.state.get("version")) or 0) < 4:
        raise UnsupportedNetwork("this is a network from before StyleGAN2 (pickle version below 4)")
    options = named(generator.state.get("static_kwargs"))
    check_architecture(options.get("architecture"))
    check_activation(options.get("nonlinearity"))
    check_activation(options.get("mapping_nonlinearity"))
    if options.get("resample_kernel") not in (None, FIR_TAPS, list(FIR_TAPS)):
        raise UnsupportedNetwork(
            "the resampling filter is not [1,3,3,1], the only one realdrag has"
        )
    if options.get("normalize_latents") is False:
        raise UnsupportedNetwork("the network takes latents that are not normalised")
    variables = _variables(generator)
    if any(re.search(r"(^|/)ToRGB_lod\d+/", name) for name in variables):
        check_architecture("orig")
    if any("/Skip/" in name for name in variables):
        check_architecture("resnet")
    variables = {name: value for name, value in variables.items() if not name.endswith("lod")}
    if any("/LabelConcat/" in name for name in variables):
        check_labels(1, {})
    tensors = {}
    for name, tensor in load_all(variables, limit).items():
        target, ours = _from_tf_variable(name, tensor)
        tensors[target] = ours
    check_labels(options.get("label_size"), tensors)
    multiplier = number(options.get("mapping_lrmul"))
    for name in [name for name in tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name)]:
        scale_mapping(tensors, name.removesuffix("weight"), multiplier)
    clamp = number(options.get("conv_clamp"))
    return ForeignWeights("legacy TensorFlow pickle", with_noise(tensors, torch.zeros), clamp)


def _variables(root: Record) -> dict[str, object]:
    """Find the variables of a network and of its parts, by TensorFlow's full names."""
    found: dict[str, object] = {}
    parts = {"": root} | {f"{k}/": v for k, v in named(root.state.get("components")).items()}
    for prefix, record in parts.items():
        pairs = record.state.get("variables") if isinstance(record, Record) else None
        for pair in pairs if isinstance(pairs, list) else []:
            match pair:
                case (str(name), value):
                    if len(found) > MAX_PARTS or len(prefix) + len(name) > 200:
                        raise WeightsInvalid("too many variables; the file is damaged")
                    found[f"{prefix}{name}"] = value
    return found


def _from_tf_variable(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """Translate one TensorFlow variable's name and layout."""
    if name == "dlatent_avg":
        return "mapping.w_avg", tensor
    if found := re.fullmatch(r"mapping/LabelEmbed/(weight|bias)", name):
        return f"mapping.embed.{found[1]}", _transpose(tensor)
    if found := re.fullmatch(r"mapping/Dense(\d{1,2})/(weight|bias)", name):
        return f"mapping.fc{found[1]}.{found[2]}", _transpose(tensor)
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", tensor.squeeze(0)
    if found := re.fullmatch(r"synthesis/noise(\d{1,2})", name):
        return f"synthesis.{noise_layer(int(found[1]))}.noise_const", tensor.squeeze(0).squeeze(0)
    if found := re.fullmatch(r"synthesis/(\d{1,4})x\1/(\w+)/(\w+)", name):
        layer, what = _TF_LAYERS.get(found[2]), _TF_TENSORS.get(found[3])
        if layer is not None and what is not None:
            if what == "affine.weight":
                tensor = _transpose(tensor)
            elif what == "affine.bias":
                tensor = tensor + 1
            elif what == "weight" and tensor.ndim == 4:
                tensor = tensor.permute(3, 2, 0, 1)
                tensor = tensor.flip(2, 3) if layer == "conv0" else tensor
            return f"synthesis.b{found[1]}.{layer}.{what}", tensor
    raise WeightsInvalid(f"the variable {ascii(name)[:80]} is not one of a StyleGAN2 generator")


def _transpose(tensor: Tensor) -> Tensor:
    """Turn a weight [in, out] round; biases, and shapes that fit nothing, stay as they are."""
    return tensor.t() if tensor.ndim == 2 else tensor
