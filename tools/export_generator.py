"""Put a trained generator and its encoder into the package, as float16 safetensors.

python -m tools.export_generator runs/faces --faces faces

With --faces the mapping network is fitted to the encoder's latents of these faces (see
tools/fit_mapping.py); without, it is the one that training left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from inversion.encoder import Encoder, FaceEncoder
from inversion.encoder_file import encoder_path, write_encoder
from stylegan2.checkpoint import load_generator, save_generator, weights_hash
from stylegan2.embedded import EMBEDDED, embedded_network
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
    network = embedded_network(EMBEDDED)
    assert network is not None
    metadata = {
        "name": network.path.stem,
        "licence": "MIT",
        "trained_images": str(state["images"] + state.get("seen_before", 0)),
    }
    save_generator(generator, network.path, metadata, dtype=torch.float16)
    weights = weights_hash(load_generator(network.path))
    write_encoder(FaceEncoder(encoder), encoder_path(), weights)
    for path in (network.path, encoder_path()):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    print(f"for stylegan2/embedded.py: {weights}")


if __name__ == "__main__":
    main()
