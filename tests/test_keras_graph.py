"""Networks stored for TensorFlow.js compute what their layers say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tools.keras_graph import GraphInvalid, KerasGraph

SAME = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}


def layer(name: str, kind: str, given: list[str], **config: Any) -> dict[str, Any]:
    nodes = [[[source, 0, 0, {}] for source in given]] if given else []
    return {"name": name, "class_name": kind, "config": config, "inbound_nodes": nodes}


LAYERS = [
    layer("input", "InputLayer", []),
    layer("pad", "ZeroPadding2D", ["input"], padding=[[0, 1], [0, 1]]),
    layer("conv", "Conv2D", ["pad"], kernel_size=[3, 3], strides=[2, 2], padding="valid"),
    layer("norm", "BatchNormalization", ["conv"], epsilon=1e-3),
    layer("six", "ReLU", ["norm"], max_value=6),
    layer("depth", "DepthwiseConv2D", ["six"], **SAME),
    layer("relu", "Activation", ["depth"], activation="relu"),
    layer("sum", "Add", ["six", "relu"]),
    layer("mean", "AveragePooling2D", ["sum"], pool_size=[3, 3], strides=[1, 1], padding="same"),
    layer("most", "MaxPooling2D", ["sum"], pool_size=[3, 3], strides=[1, 1], padding="valid"),
    layer("both", "Concatenate", ["mean", "sum"]),
    layer("head", "Dense", ["both"]),
]


def stored(folder: Path, layers: list[dict[str, Any]] = LAYERS) -> dict[str, torch.Tensor]:
    """Write the network; its kernels with eight bits, the norm in float32."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv/kernel": (3, 3, 3, 4),
        "norm/gamma": (4,),
        "norm/beta": (4,),
        "norm/moving_mean": (4,),
        "norm/moving_variance": (4,),
        "depth/depthwise_kernel": (3, 3, 4, 1),
    }
    tensors, entries, raw = {}, [], b""
    for name, shape in shapes.items():
        entry: dict[str, Any] = {"name": name, "shape": list(shape), "dtype": "float32"}
        if name.endswith("kernel"):
            codes = rng.integers(0, 256, shape).astype(np.uint8)
            entry["quantization"] = {"scale": 0.01, "min": -1.2, "dtype": "uint8"}
            values = codes * 0.01 - 1.2
            raw += codes.tobytes()
        else:
            values = (0.5 + rng.random(shape)).astype(np.float32)
            raw += values.tobytes()
        entries.append(entry)
        tensors[name] = torch.from_numpy(values.astype(np.float32))
    described = {
        "modelTopology": {"model_config": {"config": {"layers": layers}}},
        "weightsManifest": [{"weights": entries}],
    }
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "weights.bin").write_bytes(raw)
    return tensors


def graph(folder: Path, *wanted: str) -> KerasGraph:
    return KerasGraph(folder / "model.json", folder / "weights.bin", wanted)


def test_every_layer_computes_what_keras_computes(tmp_path: Path) -> None:
    t = stored(tmp_path)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    most, both = graph(tmp_path, "most", "both")(x)
    y = F.conv2d(F.pad(x, (0, 1, 0, 1)), t["conv/kernel"].permute(3, 2, 0, 1), stride=2)
    y = F.batch_norm(
        y,
        t["norm/moving_mean"],
        t["norm/moving_variance"],
        t["norm/gamma"],
        t["norm/beta"],
        eps=1e-3,
    )
    six = F.relu6(y)
    z = F.conv2d(six, t["depth/depthwise_kernel"].permute(2, 3, 0, 1), padding=1, groups=4)
    total = six + F.relu(z)
    assert torch.allclose(most, F.max_pool2d(total, 3, 1), atol=1e-5)
    assert torch.allclose(both[:, 4:], total, atol=1e-5)
    corner = total[:, :, :2, :2].mean(dim=(2, 3))  # Keras leaves out what is beyond the border
    assert torch.allclose(both[:, :4, 0, 0], corner, atol=1e-5)


def test_the_gradient_reaches_the_picture_and_the_weights_stay(tmp_path: Path) -> None:
    stored(tmp_path)
    network = graph(tmp_path, "both")
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    network(x)[0].square().sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert not list(network.parameters())


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    with pytest.raises(GraphInvalid, match="model.json is missing"):
        graph(tmp_path, "both")
    stored(tmp_path)
    with pytest.raises(GraphInvalid, match="no layer other"):
        graph(tmp_path, "other")
    with pytest.raises(GraphInvalid, match="head is a Dense"):
        graph(tmp_path, "head")(torch.zeros(1, 3, 8, 8))
    raw = (tmp_path / "weights.bin").read_bytes()
    (tmp_path / "weights.bin").write_bytes(raw + b"surplus")
    with pytest.raises(GraphInvalid, match="bytes"):
        graph(tmp_path, "both")
    stored(tmp_path, [LAYERS[0], layer("norm", "BatchNormalization", ["input"], epsilon=1e-3)])
    with pytest.raises(GraphInvalid, match="norm does not follow a convolution"):
        graph(tmp_path, "norm")
