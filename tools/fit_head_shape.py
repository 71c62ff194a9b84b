"""Fit the mean head (inversion/faces/head_pose.py) to the 68 points of a folder of faces.

Structure from motion with people instead of frames (Tomasi and Kanade, 1992): every face is the
same shape, turned, scaled, shifted and seen without perspective. Shape and poses are fitted in
turns by least squares, beginning with depths that go with the yaw of the folder's index.

    python -m tools.fit_head_shape FOLDER
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np

from inversion.faces.head_pose import pose_of_shape
from inversion.faces.shape68 import MIRRORED68
from stylegan2.arrays import Float64Array

ROUNDS = 30


def fitted_shape(faces: Float64Array, yaw: Float64Array) -> Float64Array:
    """Fit the mean head [68, 3] to faces [N, 68, 2], y down, and their yaw [N] in radians.

    x to the right, y down, z to who looks; its centre is 0; as large as the faces; symmetrical.
    """
    faces = np.concatenate([faces, faces[:, MIRRORED68] * (-1, 1)])
    faces = faces - faces.mean(axis=1, keepdims=True)
    sines = np.sin(np.concatenate([yaw, -yaw]))
    shape = np.zeros((68, 3))
    shape[:, :2] = faces.mean(axis=0)
    shape[:, 2] = sines @ (faces[..., 0] - faces[..., 0].mean(axis=0)) / (sines @ sines)
    for _ in range(ROUNDS):
        pull, stiff = np.zeros((68, 3)), np.zeros((3, 3))
        for face in faces:
            scale, rotation, shift = pose_of_shape(shape, face)
            seen = scale * rotation[:2]
            pull += (face - shift) @ seen
            stiff += seen.T @ seen
        shape = pull @ np.linalg.inv(stiff)
        shape = (shape + shape[list(MIRRORED68)] * (-1, 1, 1)) / 2
        shape -= shape.mean(axis=0)
    return shape


def left_over(shape: Float64Array, faces: Float64Array) -> float:
    """Return by how much the shape misses faces, root mean square, in their unit."""
    missed = []
    for face in faces:
        scale, rotation, shift = pose_of_shape(shape, face)
        missed.append(face - shift - scale * shape @ rotation[:2].T)
    return float(np.sqrt((np.array(missed) ** 2).sum(axis=2).mean()))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print the rows of inversion/faces/head_pose.py's table."""
    with np.load(folder / "landmarks.npz", allow_pickle=False) as stored:
        names, faces = stored["id"], stored["aligned68"].astype(np.float64) / 256
    with open(folder / "index.tsv", newline="", encoding="utf-8") as file:
        turned = {row["id"]: row["yaw"] for row in csv.DictReader(file, delimiter="\t")}
    yaw = np.radians([float(turned[str(name)] or 0) for name in names])
    shape = fitted_shape(faces, yaw)
    for i in range(0, 68, 3):
        row = ("({:.3f}, {:.3f}, {:.3f}),".format(*point) for point in shape[i : i + 3])
        click.echo("    " + " ".join(row))
    click.echo(f"{len(faces)} faces, off by {left_over(shape, faces):.4f} of the crop's side")


if __name__ == "__main__":
    main()
