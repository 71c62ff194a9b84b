"""Pack folders of aligned faces into one file, so that a training travels to another machine whole.

python -m tools.adversarial.packing DATA --faces faces [MORE ...] [--leave-out london] [--only ...]

DATA/faces.npz holds every picture as WebP at 256 pixels, with its landmarks, yaw, source and
whether a machine made it.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

PACK = "faces.npz"
SIZE = 256
QUALITY = 82
POINTS = 68


class DataInvalid(Exception):
    """A folder does not hold what a training needs; the message names what is missing."""


@dataclass(frozen=True)
class Pack:
    """Aligned pictures in memory.

    images uint8 [N, 3, S, S]; landmarks [N, 68, 2], xy in 0..1 of the picture, NaN where they are
    not known; yaw [N] in degrees; source and synthetic say where each one comes from.
    """

    images: Tensor
    landmarks: Tensor
    yaw: Tensor
    source: tuple[str, ...]
    synthetic: Tensor

    def __len__(self) -> int:
        return len(self.images)


def pack_faces(
    folders: Sequence[Path], out: Path, leave_out: Sequence[str] = (), only: Sequence[str] = ("",)
) -> int:
    """Write faces.npz of folders laid out as tools/README.md says; return how many pictures.

    Packed are sources whose name begins with an entry of `only`, but with none of leave_out, and
    nothing that a column `split` keeps for another purpose. landmarks.npz may be missing: such
    faces are not warped. Raises DataInvalid.
    """
    blobs: list[bytes] = []
    landmarks: list[npt.NDArray[np.float32]] = []
    rows: list[dict[str, str]] = []
    for folder in folders:
        points = _points(folder)
        for row in _rows(folder):
            source = row["source"]
            if row.get("split", "train") != "train" or source.startswith(tuple(leave_out)):
                continue
            if not source.startswith(tuple(only)):
                continue
            path = folder / "aligned" / f"{row['id']}.jpg"
            if not path.exists():
                raise DataInvalid(f"{path} is missing, though {folder / 'index.tsv'} names it")
            with Image.open(path) as image:
                scale = image.width
                blobs.append(_webp(image))
            unknown = np.full((POINTS, 2), np.nan, np.float32)
            known = points.get(row["id"])
            landmarks.append(unknown if known is None else (known + 0.5) / scale)
            rows.append(row)
    if not blobs:
        raise DataInvalid(f"no pictures to pack in {', '.join(map(str, folders))}")
    out.mkdir(parents=True, exist_ok=True)
    np.savez(
        out / PACK,
        data=np.frombuffer(b"".join(blobs), np.uint8),
        ends=np.cumsum([len(blob) for blob in blobs]),
        landmarks=np.array(landmarks, np.float32),
        yaw=np.array([float(row["yaw"]) for row in rows], np.float32),
        source=np.array([row["source"] for row in rows]),
        synthetic=np.array([row.get("synthetic", "0") == "1" for row in rows]),
    )
    return len(blobs)


def _rows(folder: Path) -> list[dict[str, str]]:
    index = folder / "index.tsv"
    if not index.exists():
        raise DataInvalid(f"{index} is missing; tools/README.md says what a folder of faces holds")
    with open(index, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for column in ("id", "source", "yaw"):
        if rows and column not in rows[0]:
            raise DataInvalid(f"{index} has no column {column}")
    return rows


def _points(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    path = folder / "landmarks.npz"
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as table:
        return dict(zip(map(str, table["id"]), table["aligned68"].astype(np.float32), strict=True))


def _webp(image: Image.Image) -> bytes:
    picture = image.convert("RGB")
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "webp", quality=QUALITY)
    return buffer.getvalue()


def read_pack(data: Path, size: int = SIZE) -> Pack:
    """Read what `pack_faces` wrote, each picture `size` pixels wide. Raises DataInvalid."""
    path = data / PACK
    if not path.exists():
        raise DataInvalid(
            f"{path} is missing; make it with: python -m tools.adversarial.packing {data} --faces "
            "FOLDER"
        )
    with np.load(path, allow_pickle=False) as stored:
        missing = {"data", "ends", "landmarks", "yaw", "source", "synthetic"} - set(stored)
        if missing:
            raise DataInvalid(f"{path} lacks {', '.join(sorted(missing))}; pack the faces again")
        entries = {name: stored[name] for name in stored}
    blob, ends = entries["data"], entries["ends"]

    def decoded(start: int, end: int) -> npt.NDArray[np.uint8]:
        with Image.open(io.BytesIO(blob[start:end].tobytes())) as image:
            picture = image.convert("RGB")
        if picture.size != (size, size):
            picture = picture.resize((size, size), Image.Resampling.LANCZOS)
        pixels: npt.NDArray[np.uint8] = np.asarray(picture).transpose(2, 0, 1)
        return pixels

    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(decoded, [0, *ends[:-1]], ends)))
    return Pack(
        torch.from_numpy(images),
        torch.from_numpy(entries["landmarks"]),
        torch.from_numpy(entries["yaw"]),
        tuple(map(str, entries["source"])),
        torch.from_numpy(entries["synthetic"]),
    )


def main() -> None:
    """Pack what the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder to write to")
    parser.add_argument("--faces", type=Path, nargs="+", required=True, help="folders of faces")
    parser.add_argument("--leave-out", nargs="*", default=[], help="sources, by how they begin")
    parser.add_argument("--only", nargs="*", default=[""], help="sources, by how they begin")
    asked = parser.parse_args()
    print(f"{pack_faces(asked.faces, asked.data, asked.leave_out, asked.only)} pictures")


if __name__ == "__main__":
    main()
