"""The embedded encoder starts projection nearer than anything else, for its own generator only."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from inversion.encoder import encoder_for
from inversion.perceptual import OfflineDistance
from stylegan2.checkpoint import embedded_path, load_generator, weights_hash
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
    crop = align(pixels, ffhq_quad(face), 128).image
    target = torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    generator = load_generator(embedded_path())
    encoder = encoder_for(weights_hash(generator))
    assert encoder is not None
    w = encoder(target)
    assert torch.allclose(w, encoder(F.interpolate(target, size=(64, 64), mode="area")))
    distance = OfflineDistance()
    encoded = generator.synthesis(to_ws(w, generator.num_ws))
    mean = generator.synthesis(to_ws(generator.mapping.w_avg[None], generator.num_ws))
    assert float(distance(encoded, target)) < 0.8 * float(distance(mean, target))
