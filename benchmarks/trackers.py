"""Tracking by optical flow, in place of features: DragGAN's ablation (table 1 of its paper).

A tracker is given the previous picture, the picture, and positions [P, 2] in the previous one (xy
in its pixels), and returns where they are now. The paper has two, RAFT and PIPs (Harley et al.,
2022); no maintained package or weights of PIPs can be had, so it has no row here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.flow import SIZE, flow_between, moves_at, to_512
from drag.sampling import sample
from inversion.torch_hub import checkpoints_folder
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.downloads.known_file import KnownFile, obtain
from stylegan2.images import to_tensor

Tracker = Callable[[UInt8Image, UInt8Image, Float64Array], Float64Array]

RAFT = KnownFile(
    "https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth",
    "01064c6dba73b0fc9fc8edf772248560a00a3acfd62ac6677e9eeebad9680e27",
    4,
)
"""torchvision's raft_small (Teed and Deng, 2020), BSD licence, trained on synthetic scenes."""

RAFT_STEPS = 12


def by_dis(previous: UInt8Image, picture: UInt8Image, places: Float64Array) -> Float64Array:
    """Follow OpenCV's DIS flow (Kroeger et al., 2016); where it fails its check a place stays."""
    size = len(picture)
    moves = moves_at(flow_between(previous, picture), to_512(places, size))
    return places + np.nan_to_num(moves) * (size / SIZE)


def load_raft(file: KnownFile = RAFT, folder: Path | None = None) -> Tracker:
    """Return RAFT as a tracker; its weights are downloaded if need be. Raises DownloadFailed.

    It sees pictures at 512 pixels, values in [-1, 1], as it was trained.
    """
    path = obtain(file, folder or checkpoints_folder())
    from torchvision.models.optical_flow import raft_small

    network = raft_small()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network.eval()

    @torch.no_grad()
    def track(previous: UInt8Image, picture: UInt8Image, places: Float64Array) -> Float64Array:
        size = len(picture)
        seen = [
            F.interpolate(to_tensor(each, "cpu"), (SIZE, SIZE), mode="bilinear", antialias=True)
            for each in (previous, picture)
        ]
        flow = cast(list[torch.Tensor], network(*seen, num_flow_updates=RAFT_STEPS))[-1]
        at = torch.from_numpy(to_512(places, size)).float()
        return places + sample(flow, at).double().numpy() * (size / SIZE)

    return track
