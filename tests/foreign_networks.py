"""Write a small random network in every layout of the field, and say how near ours comes to it.

    python -m tests.foreign_networks FOLDER

Files are written from the formats' description (tests/checkpoint_makers.py), and what each should
render is reckoned from its own tensors, literally and in double precision. Prints the table of
docs/networks.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from stylegan2.arrays import Array
from stylegan2.formats.convert import load_network
from stylegan2.generator import GeneratorConfig
from tests import checkpoint_makers as make
from tests import literal_layouts, literal_stylegan2

SQUARE = GeneratorConfig(32, z_dim=8, w_dim=8, mapping_layers=2, channels=(6, 5, 4, 4))
TALL = GeneratorConfig(
    32, z_dim=8, w_dim=8, mapping_layers=2, channels=(6, 5, 4, 4), first_block=(4, 2)
)
MEAN = torch.linspace(-1, 1, 8)

Render = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """A kind of file: whose it is, the file, its bytes, and what it should render for ws."""

    whose: str
    name: str
    config: GeneratorConfig
    content: bytes
    render: Render

    def differs(self, folder: Path) -> float:
        """Write and load the file; return the largest difference, as a share of the largest value.

        In single precision, as everything renders.
        """
        generator = load_network(make.write(folder, self.name, self.content))
        assert generator.config.shape == self.config.shape
        rng = torch.Generator().manual_seed(1)
        ws = torch.randn(2, generator.num_ws, generator.w_dim, generator=rng)
        wanted = self.render(ws.double())
        return float((generator.synthesis(ws).double() - wanted).abs().max() / wanted.abs().max())


def by_nvidia(tensors: Mapping[str, Tensor]) -> Render:
    """Render tensors under NVIDIA's names."""
    own = {name: tensor.double() for name, tensor in tensors.items()}
    noises = {
        name.removeprefix("synthesis.").removesuffix(".noise_const"): tensor
        for name, tensor in own.items()
        if name.endswith("noise_const")
    }
    return lambda ws: literal_stylegan2.synthesis(own, ws, noises)[0]


def by_tensorflow(variables: Mapping[str, Array]) -> Render:
    """Render TensorFlow's variables."""
    own = {name: torch.from_numpy(each).double() for name, each in variables.items()}
    return lambda ws: literal_layouts.tensorflow_synthesis(own, ws)


def by_rosinality(state: Mapping[str, Tensor]) -> Render:
    """Render rosinality's state dict."""
    own = {name: tensor.double() for name, tensor in state.items()}
    return lambda ws: literal_layouts.rosinality_synthesis(own, ws)


def layouts() -> list[Layout]:
    """Make a file of every layout."""
    tensors, tall = make.random_tensors(SQUARE), make.random_tensors(TALL)
    state, tall_state = make.rosinality_tensors(SQUARE), make.rosinality_tensors(TALL)
    variables = make.tensorflow_variables(SQUARE)
    nvidia, rosinality = by_nvidia(tensors), by_rosinality(state)
    nested = {"params_ema": {f"module.{name}": each for name, each in tensors.items()}}
    return [
        Layout("ours", "a.safetensors", SQUARE, save(tensors), nvidia),
        *(
            Layout(
                f"StyleGAN2-ADA, StyleGAN3's repository, DragGAN (protocol {protocol})",
                f"ada-{protocol}.pkl",
                SQUARE,
                make.ada_pickle(tensors, protocol=protocol),
                nvidia,
            )
            for protocol in (2, 4, 5)
        ),
        Layout(
            "StyleGAN-Human (NVIDIA's names)", "human.pkl", TALL, make.ada_pickle(tall),
            by_nvidia(tall),
        ),
        Layout(
            "StyleGAN-Human (rosinality's names)", "human.pt", TALL,
            make.rosinality_file(tall_state, MEAN), by_rosinality(tall_state),
        ),
        Layout(
            "StyleGAN2 in TensorFlow", "tf.pkl", SQUARE, make.tensorflow_pickle(variables),
            by_tensorflow(variables),
        ),
        Layout(
            "rosinality", "rosinality.pt", SQUARE, make.rosinality_file(state, MEAN), rosinality
        ),
        Layout(
            "rosinality, before torch 1.6", "old.pt", SQUARE,
            make.rosinality_file(state, MEAN, zipped=False), rosinality,
        ),
        Layout(
            "rosinality, while it trains", "training.pt", SQUARE,
            make.rosinality_file(state, None), rosinality,
        ),
        Layout("pSp, e4e, ReStyle", "e4e.pt", SQUARE, make.psp_file(state, MEAN), rosinality),
        Layout("PTI", "pti.pt", SQUARE, make.pti_file(tensors), nvidia),
        Layout("PTI, before torch 1.6", "pti-old.pt", SQUARE,
               make.pti_file(tensors, zipped=False), nvidia),
        Layout("a state dict under an entry and a prefix", "nested.pt", SQUARE,
               make.torch_save(nested), nvidia),
    ]  # fmt: skip


def main(folder: Path) -> None:
    """Write all files into a folder, and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    print("| files of | size | largest difference |\n|---|---|---|")
    for layout in layouts():
        height, width = layout.config.shape
        print(f"| {layout.whose} | {width} x {height} | {layout.differs(folder):.0e} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
