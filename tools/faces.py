"""The training pictures, and what is done to them before a network sees them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


@dataclass(frozen=True)
class Faces:
    """All aligned pictures in memory: uint8 [N, 3, R, R], landmarks [N, 68, 2] in 0..1, yaw [N]."""

    images: Tensor
    landmarks: Tensor
    yaw: Tensor

    def __len__(self) -> int:
        return self.images.shape[0]


def load_faces(folder: Path, resolution: int, exclude: frozenset[str] = frozenset()) -> Faces:
    """Read `aligned/`, `landmarks.npz` and `index.tsv` of a folder (see tools/README.md)."""
    with open(folder / "index.tsv", newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    table = np.load(folder / "landmarks.npz")
    images, landmarks, yaw = [], [], []
    for name, points in zip(table["id"], table["aligned68"], strict=True):
        path = folder / "aligned" / f"{name}.jpg"
        if not path.exists() or str(name) in exclude:
            continue
        with Image.open(path) as image:
            scale = image.width
            image = image.convert("RGB").resize((resolution, resolution), Image.Resampling.LANCZOS)
            images.append(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1))
        landmarks.append((torch.from_numpy(points).float() + 0.5) / scale)
        yaw.append(float(rows[str(name)]["yaw"]))
    return Faces(torch.stack(images), torch.stack(landmarks), torch.tensor(yaw))


def _thin_plate(a: Tensor, b: Tensor) -> Tensor:
    d2 = (a[:, :, None] - b[:, None]).square().sum(dim=-1)
    return d2 * (d2 + 1e-9).log()


def warp_to_other_shapes(
    images: Tensor, own: Tensor, other: Tensor, strength: Tensor, rng: torch.Generator
) -> Tensor:
    """Move each face part of the way to another's shape with a thin-plate spline.

    images [N, 3, R, R]; own and other landmarks [N, 68, 2] in 0..1; strength [N] in 0..1. The
    border stays. A few thousand faces thereby show many more shapes, and the same person with
    a wider face, an open mouth, other brows: what a drag will ask for.
    """
    n = images.shape[0]
    edge = torch.linspace(0, 1, 5)
    border = torch.cartesian_prod(edge, edge)
    border = border[((border == 0) | (border == 1)).any(dim=1)].expand(n, -1, -1)
    target = own + strength[:, None, None] * (other - own)
    knots = torch.cat([target, border], dim=1)
    shift = torch.cat([own - target, torch.zeros_like(border)], dim=1)
    k = knots.shape[1]
    system = torch.zeros(n, k + 3, k + 3)
    system[:, :k, :k] = _thin_plate(knots, knots) + 1e-3 * torch.eye(k)
    affine = torch.cat([torch.ones(n, k, 1), knots], dim=2)
    system[:, :k, k:] = affine
    system[:, k:, :k] = affine.transpose(1, 2)
    weights = torch.linalg.solve(system, torch.cat([shift, torch.zeros(n, 3, 2)], dim=1))
    coarse = 24
    line = (torch.arange(coarse) + 0.5) / coarse
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], dim=-1).reshape(1, -1, 2)
    grid = grid.expand(n, -1, -1)
    basis = torch.cat([_thin_plate(grid, knots), torch.ones(n, coarse**2, 1), grid], dim=2)
    field = (basis @ weights).transpose(1, 2).reshape(n, 2, coarse, coarse)
    size = images.shape[-1]
    field = F.interpolate(field, size=(size, size), mode="bilinear", align_corners=False)
    line = (torch.arange(size) + 0.5) / size
    full = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], dim=-1)
    positions = (full + field.permute(0, 2, 3, 1)) * 2 - 1
    return F.grid_sample(
        images, positions, mode="bilinear", padding_mode="border", align_corners=False
    )


def draw_batch(faces: Faces, n: int, rng: torch.Generator, warp: float = 0.6) -> Tensor:
    """Draw n pictures in [-1, 1]: half of them mirrored, most of them warped up to `warp`."""
    index = torch.randint(len(faces), (n,), generator=rng)
    images = faces.images[index].float() / 127.5 - 1
    if warp > 0:
        other = torch.randint(len(faces), (n, 8), generator=rng)
        nearest = (faces.yaw[other] - faces.yaw[index][:, None]).abs().argmin(dim=1)
        other = other[torch.arange(n), nearest]
        strength = warp * torch.rand(n, generator=rng) * (torch.rand(n, generator=rng) < 0.7)
        images = warp_to_other_shapes(
            images, faces.landmarks[index], faces.landmarks[other], strength, rng
        )
    mirrored = torch.rand(n, 1, 1, 1, generator=rng) < 0.5
    return torch.where(mirrored, images.flip(3), images)


def differentiable_augment(x: Tensor, rng: torch.Generator, strength: float = 1.0) -> Tensor:
    """Disturb what the discriminator sees: colour, translation, cut-out.

    After "Differentiable Augmentation" (Zhao et al., 2020, arXiv 2006.10738). x [N, 3, R, R].
    """
    n, _, size, _ = x.shape

    def uniform() -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=rng).to(x.device) - 0.5

    x = x + 0.6 * strength * uniform()
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * (1 + 1.2 * strength * uniform())
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + 0.8 * strength * uniform())
    reach = max(1, round(size / 10 * strength))
    left, top = (torch.randint(-reach, reach + 1, (2, n), generator=rng)).tolist()
    padded = F.pad(x, (reach, reach, reach, reach))
    x = torch.stack(
        [
            padded[i, :, reach + t : reach + t + size, reach + s : reach + s + size]
            for i, (s, t) in enumerate(zip(left, top, strict=True))
        ]
    )
    hole = round(size * 0.35 * strength)
    keep = torch.ones(n, 1, size, size, device=x.device)
    cuts = torch.randint(-hole // 2, size - hole // 2, (2, n), generator=rng).tolist()
    chosen = (torch.rand(n, generator=rng) < 0.5).tolist()
    for i, (s, t, cut) in enumerate(zip(*cuts, chosen, strict=True)):
        if cut:
            keep[i, :, max(0, t) : max(0, t + hole), max(0, s) : max(0, s + hole)] = 0
    return x * keep
