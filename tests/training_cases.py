"""A folder of packed faces and frozen features, small enough to train on in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tools.adversarial.heads import CHANNELS, LAYERS, MODEL, WEIGHTS

FACES = 24


def write_faces(folder: Path, n: int = FACES, size: int = 32) -> None:
    """Write a folder as tools/README.md describes it: an oval each, all of another colour."""
    (folder / "aligned").mkdir(parents=True)
    rng = np.random.default_rng(0)
    line = (np.arange(size) + 0.5) / size - 0.5
    oval = (line[:, None] ** 2 + 2 * line[None] ** 2 < 0.12)[..., None]
    rows, points = ["id\tsource\tyaw\tsplit\tsynthetic"], []
    for i in range(n):
        skin, around = rng.integers(130, 250, 3), rng.integers(0, 90, 3)
        Image.fromarray(np.where(oval, skin, around).astype(np.uint8)).save(
            folder / "aligned" / f"{i:05d}.jpg", quality=95
        )
        source, split = ("london" if i == 1 else "staff"), ("dev" if i == 0 else "train")
        rows.append(f"{i:05d}\t{source}\t{i}\t{split}\t{i % 2}")
        points.append(size * (0.3 + 0.4 * rng.random((68, 2))))
    (folder / "index.tsv").write_text("\n".join(rows), encoding="utf-8")
    np.savez(
        folder / "landmarks.npz",
        id=np.array([f"{i:05d}" for i in range(n)]),
        aligned68=np.array(points, np.float32),
    )


def write_features(folder: Path) -> None:
    """Write a network of random weights with the maps that the heads read."""
    rng = np.random.default_rng(0)
    layers: list[dict[str, Any]] = [
        {"name": "input", "class_name": "InputLayer", "config": {}, "inbound_nodes": []}
    ]
    manifest, raw, given, before = [], b"", 3, "input"
    for name, channels, step in zip(LAYERS, CHANNELS, (4, 2, 2, 2), strict=True):
        config = {"kernel_size": [step] * 2, "strides": [step] * 2, "padding": "valid"}
        layers.append(
            {
                "name": name,
                "class_name": "Conv2D",
                "config": config,
                "inbound_nodes": [[[before, 0, 0, {}]]],
            }
        )
        shape = [step, step, given, channels]
        kernel = rng.standard_normal(shape) / (step * step * given) ** 0.5
        raw += kernel.astype(np.float32).tobytes()
        manifest.append({"name": f"{name}/kernel", "shape": shape, "dtype": "float32"})
        given, before = channels, name
    described = {
        "modelTopology": {"model_config": {"config": {"layers": layers}}},
        "weightsManifest": [{"weights": manifest}],
    }
    (folder / MODEL).write_text(json.dumps(described), encoding="utf-8")
    (folder / WEIGHTS).write_bytes(raw)


def small(pictures: Tensor) -> Tensor:
    """Return what of pictures [N, 3, R, R] a few steps can bring nearer: colours, at 4 pixels."""
    return F.adaptive_avg_pool2d(pictures.float(), 4).flatten(1)


def literal_bilinear_phases(x: Tensor, weight: Tensor) -> Tensor:
    """Upsample as StyleGAN2 describes it: zeros between, convolution, then the filter 1 3 3 1."""
    x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])
