"""Train a StyleGAN2 generator on a folder of aligned faces.

    python -m tools.train_generator FACES --run runs/faces --resolution 64
    python -m tools.train_generator FACES --run runs/128 --resolution 128 --grow-from runs/faces

Loss and regularisation after Karras et al., 2020 (arXiv 1912.04958): non-saturating loss, lazy R1,
lazy path length, style mixing, exponential moving average. Two things are added because a few
thousand pictures and a CPU's patience are little: an encoder is trained with the generator, so that
half of the pictures it makes must look like a given one (Larsen et al., 2016, arXiv 1512.09300, the
discriminator's features being part of the distance), and the pictures are warped to each other's
shapes. The mapping network learns to hit the encoder's distribution by sliced Wasserstein distance.

Stop at any time; the same command continues from the last checkpoint.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inversion.encoder import Encoder
from stylegan2.generator import Generator, GeneratorConfig, standard_channels
from tools.faces import Faces, differentiable_augment, load_faces
from tools.networks import Discriminator, DiscriminatorBlock
from tools.pyramid import PyramidDistance
from tools.training_loop import (
    CHECKPOINT,
    add_options,
    chosen,
    follow,
    pixel_distance,
    resumed,
    run,
    save_state,
)


@dataclass(frozen=True)
class TrainingConfig:
    """Every number of a run; kept in the checkpoint."""

    resolution: int = 64
    channel_base: int = 4096
    channel_max: int = 256
    d_channel_base: int = 4096
    d_channel_max: int = 256
    w_dim: int = 256
    mapping_layers: int = 4
    batch: int = 8
    lr: float = 2e-3
    beta1: float = 0.0
    mapping_lr: float = 2e-2
    r1_gamma: float = 0.5
    r1_every: int = 16
    path_weight: float = 1.0
    path_every: int = 16
    mixing_probability: float = 0.5
    warmup_kimg: float = 20.0
    reconstruction_weight: float = 10.0
    perceptual_weight: float = 2.0
    feature_weight: float = 4.0
    w_noise: float = 0.1
    ema_kimg: float = 5.0
    warp: float = 0.6
    augment: float = 1.0
    bf16: int = 1


class Trainer:
    """All the state of a run."""

    def __init__(self, config: TrainingConfig, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.device = device
        channels = standard_channels(config.resolution, config.channel_base, config.channel_max)
        self.generator = Generator(
            GeneratorConfig(
                config.resolution, config.w_dim, config.w_dim, config.mapping_layers, channels
            )
        )
        self.discriminator = Discriminator(
            standard_channels(config.resolution, config.d_channel_base, config.d_channel_max)
        )
        self.encoder = Encoder(config.w_dim)
        for network in (self.generator, self.discriminator, self.encoder):
            network.to(device).to(memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.ema_encoder = copy.deepcopy(self.encoder).eval().requires_grad_(False)
        # Products of CPUs with AMX and of GPUs run several times faster in bfloat16; weights, sums
        # and the two regularisers stay in float32.
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=bool(config.bf16))
        self.distance = PyramidDistance().to(device).requires_grad_(False)
        g_parameters = [*self.generator.parameters(), *self.encoder.parameters()]
        self.m_optimizer = torch.optim.Adam(
            self.generator.mapping.parameters(), lr=config.mapping_lr, betas=(0.5, 0.99)
        )
        self.g_optimizer = torch.optim.Adam(
            g_parameters, lr=config.lr, betas=(config.beta1, 0.99), fused=True
        )
        self.d_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.lr, betas=(0.0, 0.99), fused=True
        )
        self.rng = torch.Generator().manual_seed(seed)
        self.step = 0
        self.images = 0
        self.path_mean = torch.zeros([], device=device)
        self.w_bank = torch.zeros(0, config.w_dim, device=device)
        self.history: list[dict[str, float]] = []

    # ------------------------------------------------------------------ one step

    def train_step(self, real: Tensor) -> dict[str, float]:
        """Update everything once on a batch of real pictures [N, 3, R, R]; return the losses."""
        config = self.config
        real = real.to(self.device).contiguous(memory_format=torch.channels_last)
        warmup = self.images < config.warmup_kimg * 1000
        half = real.shape[0] // 2
        given = real if warmup else real[:half]
        if given.shape[-1] != config.resolution:
            raise ValueError(
                f"pictures must be {config.resolution} pixels wide, are {given.shape[-1]}"
            )

        with self.autocast:
            encoded = self.encoder(given).float()
        noisy = encoded + config.w_noise * self._randn(encoded.shape)
        given_ws = noisy[:, None].expand(-1, self.generator.num_ws, -1)
        ws = given_ws if warmup else torch.cat([self._sample_ws(half), given_ws])
        with self.autocast:
            fake = self.generator.synthesis(ws, noise_mode="random").float()

        losses: dict[str, float] = {}
        if not warmup:
            losses = self._update_discriminator(real, fake.detach())
        losses |= self._update_generator(given, fake, encoded, warmup)
        losses["prior"] = self._match_mapping()
        if not warmup and config.path_weight > 0 and self.step % config.path_every == 0:
            losses["path"] = self._regularise_path_length(max(2, half // 2))
        self._update_averages()
        self.step += 1
        self.images += real.shape[0]
        return losses

    def _update_discriminator(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        config = self.config
        self.discriminator.requires_grad_(True)
        self.d_optimizer.zero_grad(set_to_none=True)
        with self.autocast:
            d_real = self.discriminator(self._augment(real)).float()
            d_fake = self.discriminator(self._augment(fake)).float()
        loss = F.softplus(-d_real).mean() + F.softplus(d_fake).mean()
        loss.backward()
        if config.r1_gamma > 0 and self.step % config.r1_every == 0:
            some = self._augment(real[: max(4, real.shape[0] // 2)]).detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(
                self.discriminator(some).sum(), some, create_graph=True
            )
            penalty = gradient.square().sum(dim=(1, 2, 3)).mean()
            (penalty * (config.r1_gamma / 2 * config.r1_every)).backward()
        self.d_optimizer.step()
        return {
            "d": float(loss.detach()),
            "d_real": float(d_real.detach().mean()),
            "d_fake": float(d_fake.detach().mean()),
            "sign": float(d_real.detach().sign().mean()),
        }

    def _update_generator(
        self, given: Tensor, fake: Tensor, encoded: Tensor, warmup: bool
    ) -> dict[str, float]:
        config = self.config
        rebuilt = fake[-given.shape[0] :]
        self.discriminator.requires_grad_(False)
        self.g_optimizer.zero_grad(set_to_none=True)
        adversarial = features = torch.zeros([], device=self.device)
        if not warmup:
            with self.autocast:
                realness = self.discriminator(self._augment(fake)).float()
                with torch.no_grad():
                    wanted = self.discriminator.features(given)
                found = self.discriminator.features(rebuilt)
            adversarial = F.softplus(-realness).mean()
            for got, want in zip(found, wanted, strict=True):
                features = features + (got.float() - want.float()).abs().mean() / len(wanted)
        pixels = pixel_distance(rebuilt, given)
        self.w_bank = torch.cat([encoded.detach(), self.w_bank])[:4096]
        perceptual = self.distance(rebuilt, given).mean()
        spread = (encoded.square().mean() - 1).square() + encoded.mean(dim=0).square().mean()
        loss = (
            adversarial
            + config.reconstruction_weight * pixels
            + config.feature_weight * features
            + config.perceptual_weight * perceptual
            + 0.1 * spread
        )
        loss.backward()
        for parameter in self.generator.parameters():
            if parameter.grad is not None:
                torch.nan_to_num_(parameter.grad, nan=0.0, posinf=1e5, neginf=-1e5)
        self.g_optimizer.step()
        return {
            "g": float(adversarial.detach()),
            "pixels": float(pixels.detach()),
            "features": float(features.detach()),
            "perceptual": float(perceptual.detach()),
            "w_square": float(encoded.detach().square().mean()),
        }

    def _regularise_path_length(self, n: int) -> float:
        """Section 3.2: keep the length of J_w^T y constant."""
        self.g_optimizer.zero_grad(set_to_none=True)
        ws = self.generator.mapping(self._randn((n, self.config.w_dim)))
        ws = ws[:, None].expand(-1, self.generator.num_ws, -1).contiguous()
        image = self.generator.synthesis(ws, noise_mode="random")
        noise = self._randn(image.shape) / self.config.resolution
        (gradient,) = torch.autograd.grad((image * noise).sum(), ws, create_graph=True)
        lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()
        self.path_mean = self.path_mean.lerp(lengths.detach().mean(), 0.02 if self.step else 1.0)
        penalty = (lengths - self.path_mean).square().mean()
        (penalty * (self.config.path_weight * self.config.path_every)).backward()
        self.g_optimizer.step()
        return float(penalty.detach())

    def _sample_ws(self, n: int) -> Tensor:
        """Draw ws of n random faces, some with the styles of two (style mixing)."""
        w: Tensor = self.generator.mapping(self._randn((2 * n, self.config.w_dim)))
        ws = w[:n, None].repeat(1, self.generator.num_ws, 1)
        for i in range(n):
            if torch.rand([], generator=self.rng) < self.config.mixing_probability:
                cut = int(torch.randint(1, self.generator.num_ws, [], generator=self.rng))
                ws[i, cut:] = w[n + i]
        return ws

    def _match_mapping(self, n: int = 256) -> float:
        """Move the mapping's w towards the distribution of the encoder's recent ones.

        By their sliced Wasserstein distance over random directions (Bonneel et al., 2015).
        """
        if self.w_bank.shape[0] < n:
            return 0.0
        w = self.generator.mapping(self._randn((n, self.config.w_dim)))
        chosen = torch.randperm(self.w_bank.shape[0], generator=self.rng)[:n].to(self.device)
        directions = F.normalize(self._randn((self.config.w_dim, 128)), dim=0)
        a = (w @ directions).sort(dim=0).values
        b = (self.w_bank[chosen] @ directions).sort(dim=0).values
        loss = (a - b).square().mean()
        self.m_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.m_optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def _update_averages(self) -> None:
        half_life = min(self.config.ema_kimg * 1000, max(self.images * 0.05, 1))
        pairs = ((self.ema, self.generator), (self.ema_encoder, self.encoder))
        follow(pairs, self.config.batch, half_life)
        w = self.generator.mapping(self._randn((64, self.config.w_dim))).mean(dim=0)
        self.ema.mapping.w_avg.lerp_(w, 0.005 if self.step else 1.0)

    def _augment(self, x: Tensor) -> Tensor:
        if self.config.augment <= 0:
            return x
        return differentiable_augment(x, self.rng, self.config.augment)

    def _randn(self, shape: Any) -> Tensor:
        return torch.randn(shape, generator=self.rng).to(self.device)

    # ------------------------------------------------------------------ checkpoints

    def networks(self) -> dict[str, nn.Module]:
        """Return everything that has weights, by name."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "encoder": self.encoder,
            "ema": self.ema,
            "ema_encoder": self.ema_encoder,
        }

    def save(self, path: Path) -> None:
        """Write the whole state; the previous file stays until the new one is complete."""
        state: dict[str, Any] = {
            name: network.state_dict() for name, network in self.networks().items()
        }
        state |= {
            "config": asdict(self.config),
            "g_optimizer": self.g_optimizer.state_dict(),
            "d_optimizer": self.d_optimizer.state_dict(),
            "m_optimizer": self.m_optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step,
            "images": self.images,
            "path_mean": self.path_mean,
            "w_bank": self.w_bank,
            "history": self.history,
        }
        save_state(state, path)

    def load(self, path: Path) -> None:
        """Continue where `save` left off."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name, network in self.networks().items():
            network.load_state_dict(state[name])
        self.g_optimizer.load_state_dict(state["g_optimizer"])
        self.d_optimizer.load_state_dict(state["d_optimizer"])
        self.m_optimizer.load_state_dict(state["m_optimizer"])
        for group in self.g_optimizer.param_groups:
            group |= {"lr": self.config.lr, "betas": (self.config.beta1, 0.99)}
        self.rng.set_state(state["rng"].cpu())
        self.step, self.images = state["step"], state["images"]
        self.path_mean, self.w_bank, self.history = (
            state["path_mean"],
            state["w_bank"],
            state["history"],
        )

    def shown(self, faces: Faces) -> tuple[Generator, Encoder]:
        """Return the averages."""
        return self.ema, self.ema_encoder

    def grow_from(self, path: Path) -> None:
        """Start from another run's networks, of the same size or of half, as wide or narrower.

        New blocks fade in. A wider generator begins as the same function: the new channels are
        there, and nothing listens to them yet (Net2Net, Chen et al., 2016, arXiv 1511.05641).
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name, network in self.networks().items():
            own, grows = network.state_dict(), name in ("generator", "ema")
            known = {
                k: widened(own[k], v, k) if grows else v
                for k, v in state[name].items()
                if k in own and (grows or own[k].shape == v.shape)
            }
            network.load_state_dict(known, strict=False)
        self.images, self.history = state["images"], state["history"]
        self.w_bank = state["w_bank"]
        if state["config"]["resolution"] == self.config.resolution:
            return
        top = f"b{self.config.resolution}"
        for generator in (self.generator, self.ema):
            generator.synthesis.block(self.config.resolution).torgb.weight.data.zero_()
        block = self.discriminator.get_submodule(top)
        assert isinstance(block, DiscriminatorBlock)
        block.conv1.weight.data.mul_(0.1)
        block.skip.weight.data.mul_(0.1)


def widened(fresh: Tensor, known: Tensor, name: str) -> Tensor:
    """Put a parameter of a narrower generator into a fresh one of the same name.

    Known outputs ignore new inputs. toRGB, which is not demodulated, divides by the root of its
    number of inputs, so its weights grow with that.
    """
    wide = fresh.clone()
    if known.ndim == 4:
        wide[: known.shape[0]] = 0
    if "torgb.weight" in name:
        known = known * (fresh.shape[1] / known.shape[1]) ** 0.5
    wide[tuple(slice(size) for size in known.shape)] = known
    return wide


def main() -> None:
    """Train until told to stop."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, TrainingConfig())
    parser.add_argument(
        "--grow-from", type=Path, help="run folder of a smaller network to start from"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kimg", type=float, default=1e9, help="stop after so many thousand pictures"
    )
    arguments = parser.parse_args()
    config: TrainingConfig = chosen(arguments, TrainingConfig())
    trainer = Trainer(config, torch.device(arguments.device), arguments.seed)
    if not resumed(trainer, arguments.run) and arguments.grow_from:
        trainer.grow_from(arguments.grow_from / CHECKPOINT)
    run(trainer, load_faces(arguments.faces, config.resolution), arguments, arguments.kimg)


if __name__ == "__main__":
    main()
