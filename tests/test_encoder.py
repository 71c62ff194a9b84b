"""The embedded encoder starts projection nearer than anything else, for its own generator only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from inversion.encoder_networks import DeltaEncoder, Encoder, FaceEncoder
from inversion.encoder_weights import encoder_for, read_encoder, write_encoder
from inversion.perceptual import OfflineDistance
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.embedded import embedded_path
from stylegan2.latents import to_ws
from tests.factories import tiny_generator


def test_another_network_has_no_encoder() -> None:
    assert encoder_for(weights_hash(tiny_generator(16))) is None


def test_its_latent_renders_a_portrait_nearer_than_the_mean_face() -> None:
    from skimage import data

    from inversion.faces.alignment import align, ffhq_quad
    from inversion.faces.landmarks import find_faces

    pixels = data.astronaut()
    face = find_faces(pixels, "offline", "cpu").faces[0]
    crop = align(pixels, ffhq_quad(face), 256).image
    target = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    generator = load_generator(embedded_path())
    encoder = encoder_for(weights_hash(generator))
    assert encoder is not None
    w, ws = encoder.w(target), encoder.ws(target, generator.num_ws)
    assert torch.allclose(w, encoder.w(F.interpolate(target, size=(64, 64), mode="area")))
    distance = OfflineDistance()
    encoded = generator.synthesis(to_ws(w, generator.num_ws))
    layered = generator.synthesis(ws)
    mean = generator.synthesis(to_ws(generator.mapping.w_avg[None], generator.num_ws))
    assert float(distance(encoded, target)) < 0.8 * float(distance(mean, target))
    assert (layered - target).square().mean() < (encoded - target).square().mean()


@pytest.mark.parametrize("delta", [True, False])
def test_an_encoder_comes_back_from_its_file_nearly_as_it_was(delta: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = FaceEncoder(Encoder(16), DeltaEncoder(16, 6) if delta else None)
    write_encoder(made, tmp_path / "encoder.safetensors", "some generator's")
    back = read_encoder(tmp_path / "encoder.safetensors")
    images = torch.rand(2, 3, 128, 128) * 2 - 1
    wanted, ws = made.ws(images, 6), back.ws(images, 6)
    assert ws.shape == (2, 6, 16)
    assert (back.delta is None) == (not delta)
    assert (ws - wanted).norm() < 0.03 * wanted.norm()
