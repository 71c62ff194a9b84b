"""Small networks and pictures that tests share."""

from __future__ import annotations

import torch

from stylegan2.generator import Generator, GeneratorConfig, standard_channels


def tiny_generator(
    resolution: int = 32,
    *,
    seed: int = 0,
    w_dim: int = 16,
    z_dim: int = 16,
    layers: int = 2,
    channel_base: int = 512,
    channel_max: int = 16,
    conv_clamp: float | None = None,
    first_block: tuple[int, int] = (4, 4),
) -> Generator:
    """Build a small generator with random weights, biases and noise strengths all non-zero."""
    config = GeneratorConfig(
        resolution=resolution,
        z_dim=z_dim,
        w_dim=w_dim,
        mapping_layers=layers,
        channels=standard_channels(resolution, channel_base, channel_max),
        conv_clamp=conv_clamp,
        first_block=first_block,
    )
    rng = torch.Generator().manual_seed(seed)
    generator = Generator(config).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        noise = torch.randn(tensor.shape, generator=rng)
        if name.endswith("mapping.w_avg"):
            tensor.copy_(0.1 * noise)
        elif name.startswith("mapping.") and name.endswith("weight"):
            tensor.copy_(100.0 * noise)
        elif name.endswith("affine.bias"):
            tensor.copy_(1.0 + 0.1 * noise)
        elif name.endswith("bias") or name.endswith("noise_strength"):
            tensor.copy_(0.1 * noise)
        else:
            tensor.copy_(noise)
    return generator


AVERAGE_FACE = (
    (59.5, 110), (59, 139.5), (60, 154), (66.5, 186), (73, 199), (80, 209), (97, 224), (115, 233),
    (127.5, 234.5), (140, 233), (158, 224), (175, 209), (182, 199), (188.5, 186), (195, 154),
    (196, 139.5), (195.5, 110), (71, 106.5), (77.5, 101.5), (87, 98.5), (99, 99.5), (113, 101),
    (142, 101), (156, 99.5), (168, 98.5), (177.5, 101.5), (184, 106.5), (127.5, 117.5),
    (127.5, 132.5), (127.5, 146.5), (127.5, 155), (113.5, 163.5), (119, 166.5), (127.5, 167.5),
    (136, 166.5), (141.5, 163.5), (83.5, 121), (89.5, 117), (99.5, 116.5), (110.5, 122.5),
    (101.5, 124), (91.5, 124.5), (144.5, 122.5), (155.5, 116.5), (165.5, 117), (171.5, 121),
    (163.5, 124.5), (153.5, 124), (99.5, 186.5), (111.5, 182), (119, 180.5), (127.5, 181.5),
    (136, 180.5), (143.5, 182), (155.5, 186.5), (143, 198), (136, 200.5), (127.5, 201),
    (119, 200.5), (112, 198), (102, 187), (120.5, 186.5), (127.5, 187), (134.5, 186.5),
    (153, 187), (134.5, 191.5), (127.5, 192), (120.5, 191.5),
)  # fmt: skip
"""68 points of an average face in a crop of 256 pixels."""
