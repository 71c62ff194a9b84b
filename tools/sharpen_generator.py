"""Teach a rebuilt face the texture of its photo.

    python -m tools.sharpen_generator FACES --run runs/sharp

Rebuilding alone leaves pictures soft: where detail cannot be known, its mean is the best guess. A
discriminator would ask for detail, but needs far more pictures than a CPU can show it. So generator
and encoder go on rebuilding faces, and are asked for more: that every small window of the picture
holds the same patches and features as the photo's, in whatever places (tools/texture.py). A
distribution's mean, unlike a pixel's, is not soft, and nothing else has to be trained.

Begins with the embedded generator and its encoder. The rate falls to nothing over `--kimg`. Stop at
any time; the same command continues from the last checkpoint, whose files are those of
tools/train_generator.py: tools/export_generator.py reads both, and has to fit the mapping again.
"""

from __future__ import annotations

import argparse
import copy
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from inversion.encoder import Encoder
from inversion.encoder_file import encoder_for
from inversion.perceptual import OfflineDistance
from pipeline.machine.memory import keep_freed_memory
from stylegan2.checkpoint import load_generator, weights_hash
from stylegan2.embedded import embedded_path
from stylegan2.generator import Generator
from stylegan2.latents import to_ws
from tools.faces import Faces, load_faces
from tools.fit_mapping import encode_all, fit_mapping
from tools.texture import feature_distance, patch_distance
from tools.training_loop import (
    add_options,
    chosen,
    follow,
    pixel_distance,
    resumed,
    run,
    save_state,
)


@dataclass(frozen=True)
class SharpeningConfig:
    """Every number of a run; kept in the checkpoint."""

    kimg: float = 64.0
    batch: int = 8
    lr: float = 1.5e-3
    beta1: float = 0.8
    warmup_kimg: float = 2.0
    pixel_weight: float = 10.0
    perceptual_weight: float = 6.0
    patch_weight: float = 8.0
    feature_weight: float = 20.0
    directions: int = 6
    w_noise: float = 0.1
    ema_kimg: float = 3.0
    warp: float = 0.6
    bf16: int = 1


class Sharpener:
    """All the state of a run."""

    def __init__(
        self,
        config: SharpeningConfig,
        generator: Generator,
        encoder: Encoder,
        seen_before: int = 0,
    ) -> None:
        self.config = config
        self.seen_before = seen_before
        self.ema = generator.eval().requires_grad_(False)
        self.ema_encoder = encoder.eval().requires_grad_(False)
        self.generator = copy.deepcopy(generator).to(memory_format=torch.channels_last)
        self.encoder = copy.deepcopy(encoder).to(memory_format=torch.channels_last)
        self.generator.synthesis.requires_grad_(True)
        self.encoder.requires_grad_(True)
        learning = [*self.generator.synthesis.parameters(), *self.encoder.parameters()]
        self.optimizer = torch.optim.Adam(
            learning, lr=config.lr, betas=(config.beta1, 0.99), fused=True
        )
        self.distance = OfflineDistance()
        # Many CPUs multiply twice as fast in bfloat16; weights, sums and distances stay in float32.
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=bool(config.bf16))
        self.rng = torch.Generator().manual_seed(0)
        self.images = 0
        self.history: list[dict[str, float]] = []

    def train_step(self, real: Tensor) -> dict[str, float]:
        """Update both networks once on a batch of pictures [N, 3, R, R]; return the losses."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.lr * self._rate()
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            w = self.encoder(real).float()
            w = w + config.w_noise * torch.randn(w.shape, generator=self.rng)
            ws = to_ws(w, self.generator.num_ws)
            fake = self.generator.synthesis(ws, noise_mode="random").float()
        found = self.distance.features(fake)
        with torch.no_grad():
            wanted = self.distance.features(real)
        # Full size is left to the textures: there the mean colour of a pixel is what is soft.
        losses = {
            "pixels": pixel_distance(F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)),
            "perceptual": self.distance.between(found, wanted).mean(),
            "patch": patch_distance(fake, real, config.directions, self.rng),
            "feature": feature_distance(found, wanted, config.directions, self.rng),
        }
        loss = (
            config.pixel_weight * losses["pixels"]
            + config.perceptual_weight * losses["perceptual"]
            + config.patch_weight * losses["patch"]
            + config.feature_weight * losses["feature"]
        )
        loss.backward()
        self.optimizer.step()
        self.images += len(real)
        pairs = ((self.ema, self.generator), (self.ema_encoder, self.encoder))
        follow(pairs, config.batch, min(config.ema_kimg * 1000, self.images * 0.2))
        return {name: float(value.detach()) for name, value in losses.items()}

    def _rate(self) -> float:
        """Rise over the warm-up, then fall as a cosine."""
        kimg = self.images / 1000
        rise = min(1.0, (kimg + self.config.batch / 1000) / self.config.warmup_kimg)
        return rise * (1 + math.cos(math.pi * min(1.0, kimg / self.config.kimg))) / 2

    def networks(self) -> dict[str, nn.Module]:
        """Return everything that has weights, by name."""
        return {
            "generator": self.generator,
            "encoder": self.encoder,
            "ema": self.ema,
            "ema_encoder": self.ema_encoder,
        }

    def save(self, path: Path) -> None:
        """Write the whole state; the previous file stays until the new one is complete."""
        state = {name: network.state_dict() for name, network in self.networks().items()}
        rest = {
            "config": asdict(self.config),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "images": self.images,
            "seen_before": self.seen_before,
            "history": self.history,
        }
        save_state(state | rest, path)

    def load(self, path: Path) -> None:
        """Continue where `save` left off."""
        state = torch.load(path, weights_only=True)
        for name, network in self.networks().items():
            network.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.set_state(state["rng"])
        self.images, self.seen_before = state["images"], state["seen_before"]
        self.history = state["history"]

    def shown(self, faces: Faces) -> tuple[Generator, Encoder]:
        """Return the averages, with a mapping that draws w as the encoder now places faces."""
        generator, encoder = copy.deepcopy(self.ema), copy.deepcopy(self.ema_encoder)
        fit_mapping(generator, encoder, encode_all(encoder, faces.images[::4]))
        return generator, encoder


def main() -> None:
    """Sharpen until told to stop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, SharpeningConfig())
    arguments = parser.parse_args()
    keep_freed_memory()
    config: SharpeningConfig = chosen(arguments, SharpeningConfig())
    generator = load_generator(embedded_path())
    with safe_open(embedded_path(), framework="pt") as file:
        seen_before = int(file.metadata().get("trained_images", 0))
    encoder = encoder_for(weights_hash(generator))
    if encoder is None:
        raise SystemExit("the embedded generator has no encoder; install realdrag again")
    sharpener = Sharpener(config, generator, encoder.w, seen_before)
    resumed(sharpener, arguments.run)
    run(sharpener, load_faces(arguments.faces, generator.resolution), arguments, config.kimg)


if __name__ == "__main__":
    main()
