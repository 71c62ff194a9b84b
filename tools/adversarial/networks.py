"""All networks of a training: those that learn, and their averages, which are the result."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from inversion.encoder_networks import DeltaEncoder, Encoder
from stylegan2.generator import Generator, GeneratorConfig, standard_channels
from tools.adversarial.config import AdversarialConfig
from tools.adversarial.heads import Heads, Projector
from tools.adversarial.storing import read_stored


@dataclass
class Drawing:
    """What is shipped in the end: a generator and the encoders that know its latents."""

    generator: Generator
    encoder: Encoder
    delta: DeltaEncoder

    def __iter__(self) -> Iterator[tuple[str, nn.Module]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))

    def learning(self) -> list[Tensor]:
        """Return every parameter; the mapping network's are fitted at the end and not learnt."""
        mapping = {id(p) for p in self.generator.mapping.parameters()}
        return [p for _, net in self for p in net.parameters() if id(p) not in mapping]

    def ws(self, photos: Tensor) -> Tensor:
        """Return W+ [N, num_ws, w_dim] of photos [N, 3, R, R]."""
        ws: Tensor = self.encoder(photos)[:, None] + self.delta(photos)
        return ws


@dataclass
class Networks:
    """Generator and encoders as they learn, their averages, and the heads with their projector."""

    live: Drawing
    average: Drawing
    heads: Heads
    projector: Projector

    def named(self) -> dict[str, nn.Module]:
        """Return each network by name."""
        averages = {f"average_{name}": net for name, net in self.average}
        return {**dict(self.live), **averages, "heads": self.heads, "projector": self.projector}


def build(config: AdversarialConfig, device: torch.device, start: Path | None = None) -> Networks:
    """Build the networks, from the files in `start` if there is one (see `storing.store`).

    A stored generator may be of half the size, and narrower: new blocks fade in, and a wider
    network begins as the same function.
    """
    channels = standard_channels(config.resolution, config.channel_base, config.channel_max)
    sizes = GeneratorConfig(
        config.resolution, config.w_dim, config.w_dim, config.mapping_layers, channels
    )
    generator = Generator(sizes)
    encoder = Encoder(config.w_dim, config.encoder_width)
    live = Drawing(generator, encoder, DeltaEncoder(config.w_dim, sizes.num_ws))
    nn.init.zeros_(live.delta.out.weight)
    heads, projector = Heads(config.look), Projector()
    if start is not None:
        grow(generator, read_stored(start, "generator"))
        live.encoder.load_state_dict(read_stored(start, "encoder"))
        others: dict[str, nn.Module] = {
            "delta": live.delta,
            "heads": heads,
            "projector": projector,
        }
        for name, net in others.items():
            known = read_stored(start, name, missing_ok=True)
            own = net.state_dict()
            # W+ of a smaller network has fewer layers: then the differences are learnt anew.
            if all(name in known and known[name].shape == own[name].shape for name in own):
                net.load_state_dict(known)
    for net in (*(net for _, net in live), heads, projector):
        net.to(device).to(memory_format=torch.channels_last)
    average = copy.deepcopy(live)
    for _, net in average:
        net.eval().requires_grad_(False)
    generator.mapping.requires_grad_(False)
    return Networks(live, average, heads, projector)


def grow(generator: Generator, known: Mapping[str, Tensor]) -> None:
    """Give a generator the weights of a smaller one, in place; the picture stays the same.

    New blocks fade in. New channels are there, and nothing listens to them yet (Net2Net, Chen et
    al., 2016, arXiv 1511.05641).
    """
    own = generator.state_dict()
    for name, tensor in own.items():
        if name in known:
            own[name] = widened(tensor, known[name], name)
        elif "torgb.weight" in name:
            own[name] = torch.zeros_like(tensor)
    generator.load_state_dict(own)


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
