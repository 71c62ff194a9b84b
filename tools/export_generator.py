"""Put a trained generator and its encoder into the package, as float16 safetensors.

python -m tools.export_generator runs/faces --faces faces

With --faces the mapping network is fitted to the encoder's latents of these faces (see
tools/fit_mapping.py); without, it is the one that training left.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save

from inversion.encoder import Encoder, encoder_path
from stylegan2.checkpoint import embedded_path, load_generator, save_generator, weights_hash
from tools.faces import load_faces
from tools.fit_mapping import encode_all, fit_mapping


def main() -> None:
    """Round the averaged generator of a run to float16 and write it where the package looks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("--faces", type=Path, help="folder of aligned faces")
    arguments = parser.parse_args()
    generator = load_generator(arguments.run / "generator.safetensors")
    state = torch.load(arguments.run / "state.pt", map_location="cpu", weights_only=True)
    encoder = Encoder(generator.w_dim)
    encoder.load_state_dict(state["ema_encoder"])
    if arguments.faces is not None:
        faces = load_faces(arguments.faces, generator.resolution)
        fit_mapping(generator, encoder, encode_all(encoder, faces.images))
    metadata = {
        "name": "realdrag-faces-128",
        "licence": "MIT",
        "trained_images": str(state["images"] + state.get("seen_before", 0)),
    }
    save_generator(generator, embedded_path(), metadata, dtype=torch.float16)
    values = {name: tensor.half().contiguous() for name, tensor in encoder.state_dict().items()}
    header = {
        "generator": weights_hash(load_generator(embedded_path())),
        "sizes": json.dumps({"w_dim": generator.w_dim}),
    }
    encoder_path().write_bytes(save(values, metadata=header))
    for path in (embedded_path(), encoder_path()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
