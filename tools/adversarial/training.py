"""One iteration of adversarial training, and all the state that it changes.

All randomness, both updates and the averages are on the device, and nothing is read back: on a GPU
an iteration is one captured graph.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.adversarial.augment import Augmentation
from tools.adversarial.config import AdversarialConfig, Rates
from tools.adversarial.latents import LatentBank, mixed
from tools.adversarial.networks import Networks
from tools.adversarial.pictures import Pictures
from tools.adversarial.synthesis import render
from tools.keras_graph import KerasGraph

FIGURES = (
    "heads",
    "adversarial",
    "features",
    "pixels",
    "latents",
    "real",
    "fake",
    "real_told",
    "fake_told",
)
"""Losses of heads and generator; what the heads say of photos and of generated pictures, and the
shares of both that they tell rightly."""

MEASURED = 32
"""Photos whose features say what unit variance is."""


class Training:
    """All the state of a run on one device."""

    def __init__(
        self,
        config: AdversarialConfig,
        networks: Networks,
        pictures: Pictures,
        features: KerasGraph,
        seed: int = 0,
    ) -> None:
        self.config, self.networks, self.pictures = config, networks, pictures
        device = self.device = pictures.images.device
        on_gpu = device.type == "cuda"
        self.dtype = torch.bfloat16 if on_gpu else torch.float32
        self.features = features.to(device, self.dtype)
        self.rng = torch.Generator(device).manual_seed(seed)
        self.rate, self.encoder_rate, self.heads_rate, self.learnt = (
            torch.zeros([], device=device) for _ in range(4)
        )
        live = networks.live
        encoders = [*live.encoder.parameters(), *live.delta.parameters()]
        self.optimizer = _adam(
            [
                {"params": [*live.generator.synthesis.parameters()], "lr": self.rate},
                {"params": encoders, "lr": self.encoder_rate},
            ],
            on_gpu,
        )
        self.heads_optimizer = _adam(
            [{"params": [*networks.heads.parameters()], "lr": self.heads_rate}], on_gpu
        )
        self.bank = LatentBank(config.bank, config.fresh, config.w_dim, device)
        for _ in range(config.bank // config.fresh):
            self.bank.refresh(live.encoder, pictures, self.rng)
        self.sums = torch.zeros(len(FIGURES) + 1, device=device)
        some = pictures.images[:: max(1, len(pictures) // MEASURED)].float() / 127.5 - 1
        with torch.no_grad():
            networks.projector.measure(self._seen(some))
        self.graph: torch.cuda.CUDAGraph | None = None

    # ------------------------------------------------------------------ learning

    def set_rates(self, rates: Rates) -> None:
        """Say how fast to learn from now on."""
        self.rate.fill_(rates.generator)
        self.encoder_rate.fill_(rates.generator * self.config.encoder_rate)
        self.heads_rate.fill_(rates.heads)
        self.learnt.fill_(1 - rates.kept)

    def step(self) -> None:
        """Update everything once, on a batch of photos and as many generated pictures."""
        if self.graph is None:
            self._iterate()
        else:
            self.graph.replay()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # or the clock of a run would be ahead of it

    def _iterate(self) -> None:
        config, networks, rng = self.config, self.networks, self.rng
        half = config.batch // 2
        self.bank.refresh(networks.live.encoder, self.pictures, rng)
        real = self._photos()
        augment = Augmentation(config.batch, config.resolution, rng, self.device)
        ws, apart = self._ws(real[half:])
        fake = render(networks.live.generator, ws, self.dtype, rng)
        found = self._seen(augment(fake))
        projected = networks.projector(found)
        with torch.no_grad():
            wanted = self._seen(augment(real))
            projected_real = networks.projector(wanted)

        said_real = networks.heads(projected_real)
        said_fake = networks.heads([each.detach() for each in projected])
        heads_loss = F.relu(1 - said_real).mean() + F.relu(1 + said_fake).mean()
        _update(self.heads_optimizer, heads_loss)

        networks.heads.requires_grad_(False)
        adversarial = -networks.heads(projected).mean()
        networks.heads.requires_grad_(True)
        features = self._feature_distance(found, wanted)
        pixels = pixel_distance(fake[half:], real[half:])
        latents = self._latent_distance(fake[:half].detach(), ws[:half].detach())
        _update(
            self.optimizer,
            adversarial
            + config.feature_weight * features
            + config.pixel_weight * pixels
            + config.latent_weight * latents
            + config.delta_weight * apart,
        )
        self._follow()
        figures = [heads_loss, adversarial, features, pixels, latents]
        figures += [said_real.mean(), said_fake.mean()]
        figures += [(said_real > 0).float().mean(), (said_fake < 0).float().mean()]
        ones = torch.ones([], device=self.device)
        self.sums += torch.stack([*(each.detach() for each in figures), ones])

    def _photos(self) -> Tensor:
        real = self.pictures.draw(self.config.batch, self.config.warp, self.rng)
        factor = real.shape[-1] // self.config.resolution
        return F.avg_pool2d(real, factor) if factor > 1 else real

    def _ws(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return ws of samples, then of given photos; and how far these are from one w each.

        Half of the photos are drawn from their one w, so that W itself stays good.
        """
        config, live, n = self.config, self.networks.live, len(given)
        num_ws = live.generator.num_ws
        w, other = self.bank.sample(2 * n, self.rng).chunk(2)
        samples = mixed(w, other, num_ws, config.mixing, self.rng)
        encoded = live.encoder(given)
        noise = torch.randn(encoded.shape, generator=self.rng, device=self.device)
        delta = live.delta(given)
        plus = torch.rand(n, 1, 1, generator=self.rng, device=self.device) < 0.5
        rebuilt = (encoded + config.w_noise * noise)[:, None] + delta * plus
        return torch.cat([samples, rebuilt]), delta.square().mean()

    def _seen(self, x: Tensor) -> list[Tensor]:
        if x.shape[-1] != self.config.look:
            size = (self.config.look,) * 2
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        found: list[Tensor] = self.features(x)
        return found

    def _feature_distance(self, found: list[Tensor], wanted: list[Tensor]) -> Tensor:
        half = self.config.batch // 2
        gaps = [
            ((a[half:].float() - b[half:].float()).abs() * unit).mean()
            for a, b, unit in zip(found, wanted, self.networks.projector.unit, strict=True)
        ]
        return torch.stack(gaps).mean()

    def _latent_distance(self, samples: Tensor, ws: Tensor) -> Tensor:
        """A sample's own latents are known: the encoders learn from them, too."""
        return ((self.networks.live.ws(samples) - ws).square() / self.bank.variance()).mean()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averages towards the networks that learn."""
        average, live = self.networks.average, self.networks.live
        averages = average.learning()
        lives = [parameter.detach() for parameter in live.learning()]
        gaps = list(torch._foreach_sub(lives, averages))
        torch._foreach_mul_(gaps, self.learnt)
        torch._foreach_add_(averages, gaps)

    def figures(self) -> dict[str, float]:
        """Return the mean of each figure since the last call."""
        *sums, count = self.sums.tolist()
        self.sums.zero_()
        return {name: value / max(count, 1) for name, value in zip(FIGURES, sums, strict=True)}

    # ------------------------------------------------------------------ one graph an iteration

    def capture(self) -> None:
        """Make an iteration one CUDA graph; it learns from three batches on the way."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._iterate()
        torch.cuda.current_stream().wait_stream(side)
        for optimizer in (self.optimizer, self.heads_optimizer):
            optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.rng)
        with torch.cuda.graph(graph):
            self._iterate()
        self.graph = graph

    # ------------------------------------------------------------------ checkpoints

    def state(self) -> dict[str, Any]:
        """Return everything that a step changes."""
        return {
            "networks": {name: net.state_dict() for name, net in self.networks.named().items()},
            "optimizer": self.optimizer.state_dict(),
            "heads_optimizer": self.heads_optimizer.state_dict(),
            "bank": self.bank.latents,
            "rng": self.rng.get_state(),
            "sums": self.sums,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; before `capture`."""
        for name, net in self.networks.named().items():
            net.load_state_dict(state["networks"][name])
        for optimizer, key in (
            (self.optimizer, "optimizer"),
            (self.heads_optimizer, "heads_optimizer"),
        ):
            rates = [group["lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state[key])
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        self.bank.latents.copy_(state["bank"])
        self.rng.set_state(state["rng"].cpu())
        self.sums.copy_(state["sums"])


def _adam(groups: list[dict[str, Any]], capturable: bool) -> torch.optim.Adam:
    return torch.optim.Adam(
        groups, lr=0.0, betas=(0.0, 0.99), eps=1e-8, fused=True, capturable=capturable
    )


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def pixel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Compare pictures [N, 3, R, R] by their pixels, at 64 pixels and halved down to 8."""
    gaps = []
    while x.shape[-1] > 8:
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        if x.shape[-1] <= 64:
            gaps.append((x - y).abs().mean())
    return torch.stack(gaps).sum() / 4
