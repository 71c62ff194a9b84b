"""Networks that Keras trained and TensorFlow.js stores, in torch: what frozen features come from.

Only what MobileNetV2 and InceptionV3 are made of (Sandler et al., 2018, arXiv 1801.04381; Szegedy
et al., 2015, arXiv 1512.00567) is understood, without their classifiers. Batch norm is folded into
the convolution before it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")


class GraphInvalid(Exception):
    """A file does not hold a network that we can build; the message names what is unknown."""


class KerasGraph(nn.Module):
    """Pictures [N, 3, R, R] in [-1, 1] -> the outputs of some layers, in the order of `wanted`.

    model is model.json, weights all of its shards one after another. Frozen. Raises GraphInvalid.
    """

    def __init__(self, model: Path, weights: Path, wanted: Sequence[str]) -> None:
        super().__init__()
        if missing := [path for path in (model, weights) if not path.exists()]:
            raise GraphInvalid(f"{missing[0]} is missing; tools/README.md says where to get it")
        described = json.loads(model.read_text(encoding="utf-8"))
        layers = described["modelTopology"]["model_config"]["config"]["layers"]
        tensors = _stored(described["weightsManifest"], weights.read_bytes())
        self.wanted = tuple(wanted)
        names = [layer["name"] for layer in layers]
        if unknown := [name for name in wanted if name not in names]:
            raise GraphInvalid(f"{model} has no layer {unknown[0]}")
        self.layers = layers[: 1 + max(names.index(name) for name in wanted)]
        self.last_read = {name: i for i, each in enumerate(self.layers) for name in _inputs(each)}
        kinds = {layer["name"]: layer for layer in self.layers}
        for layer in self.layers:
            if layer["class_name"] in CONVOLUTIONS:
                self._keep(layer["name"], *_convolution(layer, tensors))
            elif layer["class_name"] == "BatchNormalization":
                (before,) = _inputs(layer)
                if kinds[before]["class_name"] not in CONVOLUTIONS:
                    raise GraphInvalid(f"{layer['name']} does not follow a convolution")
                self._keep(before, *_folded(*self.convolution(before), layer, tensors))

    def _keep(self, name: str, weight: Tensor, bias: Tensor) -> None:
        weight = weight.contiguous(memory_format=torch.channels_last)
        self.register_buffer(f"{name}_weight", weight, persistent=False)
        self.register_buffer(f"{name}_bias", bias, persistent=False)

    def convolution(self, name: str) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a convolution."""
        return self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute in the type of x, which must be that of the buffers."""
        found: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            kind, name, config = layer["class_name"], layer["name"], layer["config"]
            given = [found[source] for source in _inputs(layer)]
            if kind == "InputLayer":
                found[name] = x
            elif kind in CONVOLUTIONS:
                weight, bias = self.convolution(name)
                groups = weight.shape[0] if kind == "DepthwiseConv2D" else 1
                found[name] = F.conv2d(
                    given[0], weight, bias, config["strides"], _padding(config), groups=groups
                )
            elif kind == "BatchNormalization":
                found[name] = given[0]
            elif kind in ("ReLU", "Activation"):
                found[name] = _activated(given[0], config)
            elif kind == "ZeroPadding2D":
                (top, bottom), (left, right) = config["padding"]
                found[name] = F.pad(given[0], (left, right, top, bottom))
            elif kind == "MaxPooling2D":
                found[name] = F.max_pool2d(given[0], config["pool_size"], config["strides"])
            elif kind == "AveragePooling2D":
                # At the border Keras averages over the pixels that are there.
                found[name] = F.avg_pool2d(
                    given[0],
                    config["pool_size"],
                    config["strides"],
                    _padding({**config, "kernel_size": config["pool_size"]}),
                    count_include_pad=False,
                )
            elif kind == "Add":
                found[name] = given[0] + given[1]
            elif kind == "Concatenate":
                found[name] = torch.cat(given, dim=1)
            else:
                raise GraphInvalid(f"{name} is a {kind}, which is not known here")
            for source in _inputs(layer):
                if self.last_read[source] == i and source not in self.wanted:
                    found.pop(source, None)
            del given
        return [found[name] for name in self.wanted]


def _inputs(layer: dict[str, Any]) -> list[str]:
    return [node[0] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []


def _activated(x: Tensor, config: dict[str, Any]) -> Tensor:
    # In place: nothing else reads what comes out of a convolution.
    if config.get("activation", "relu") != "relu":
        raise GraphInvalid(f"activation {config['activation']} is not known here")
    return F.hardtanh_(x, 0.0, config["max_value"]) if config.get("max_value") else F.relu_(x)


def _padding(config: dict[str, Any]) -> tuple[int, int]:
    height, width = config["kernel_size"] if config["padding"] == "same" else (1, 1)
    if config["padding"] == "same" and tuple(config["strides"]) != (1, 1):
        raise GraphInvalid("padding 'same' is known for steps of one pixel only")
    return height // 2, width // 2


def _stored(manifest: Sequence[dict[str, Any]], raw: bytes) -> dict[str, Tensor]:
    """Read every tensor; eight bits a value with a scale and a least value, or float32."""
    tensors, at = {}, 0
    for entry in (each for group in manifest for each in group["weights"]):
        size, quantized = math.prod(entry["shape"]), entry.get("quantization")
        kind = np.dtype(quantized["dtype"] if quantized else entry["dtype"])
        values = np.frombuffer(raw, kind, size, at).astype(np.float32)
        at += size * kind.itemsize
        if quantized:
            values = values * quantized["scale"] + quantized["min"]
        tensors[entry["name"]] = torch.from_numpy(values.astype(np.float32)).reshape(entry["shape"])
    if at != len(raw):
        raise GraphInvalid(f"the weights should be {at} bytes, are {len(raw)}")
    return tensors


def _convolution(layer: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return weight [out, in, h, w] and bias [out]; Keras keeps [h, w, in, out]."""
    name = layer["name"]
    if layer["class_name"] == "DepthwiseConv2D":
        weight = tensors[f"{name}/depthwise_kernel"].permute(2, 3, 0, 1)
    else:
        weight = tensors[f"{name}/kernel"].permute(3, 2, 0, 1)
    return weight, tensors.get(f"{name}/bias", torch.zeros(len(weight)))


def _folded(
    weight: Tensor, bias: Tensor, norm: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    name = norm["name"]
    deviation = (tensors[f"{name}/moving_variance"] + norm["config"]["epsilon"]).sqrt()
    gain = tensors.get(f"{name}/gamma", torch.ones(len(weight))) / deviation
    bias = (bias - tensors[f"{name}/moving_mean"]) * gain + tensors[f"{name}/beta"]
    return weight * gain[:, None, None, None], bias
