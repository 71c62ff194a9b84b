"""Put a trained generator and its encoders into the package.

python -m tools.export_generator runs/faces/results
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from inversion.encoder_weights import write_encoder
from inversion.encoders import encoder_path
from stylegan2.checkpoint import load_generator, save_generator, weights_hash
from stylegan2.embedded import embedded_path
from tools.adversarial.storing import read_drawing


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the results of a run where the package looks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="the folder `results` of a training run")
    asked = parser.parse_args(arguments)
    generator, encoder = read_drawing(asked.results)
    path = embedded_path()
    metadata = {"name": path.stem, "licence": "MIT"}
    save_generator(generator, path, metadata, dtype=torch.float16)
    weights = weights_hash(load_generator(path))
    write_encoder(encoder, encoder_path(), weights)
    for written in (path, encoder_path()):
        print(f"{written.name}: {written.stat().st_size / 1e6:.1f} MB")
    print(f"for stylegan2/embedded.py: {weights}")


if __name__ == "__main__":
    main()
