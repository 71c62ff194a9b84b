"""The generator and its operations against the literal reference, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stylegan2 import ops
from stylegan2.generator import Generator, GeneratorConfig
from tests import literal_stylegan2 as literal
from tests.factories import tiny_generator


def assert_exact(ours: Tensor, reference: Tensor) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-9, atol=1e-9)


def random(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def assert_same_gradients(ours: Tensor, reference: Tensor, inputs: list[Tensor]) -> None:
    """Compare d(sum of output * fixed random weights) / d(inputs)."""
    assert_exact(ours, reference)
    weights = random(*ours.shape, seed=99)
    got = torch.autograd.grad((ours * weights).sum(), inputs, retain_graph=True)
    wanted = torch.autograd.grad((reference * weights).sum(), inputs)
    for a, b in zip(got, wanted, strict=True):
        assert b.abs().max() > 0, "a gradient that is zero everywhere would prove nothing"
        assert_exact(a, b)


# ---------------------------------------------------------------------------------------------
# Operations


@pytest.mark.parametrize(("kernel", "up"), [(1, False), (3, False), (3, True)])
def test_modulated_convolution_equals_per_sample_weights(kernel: int, up: bool) -> None:
    x = random(3, 4, 5, 6).requires_grad_()
    weight = random(7, 4, kernel, kernel).requires_grad_()
    styles = random(3, 4, seed=1).requires_grad_()
    ours = ops.modulated_conv2d(x, weight, styles, ops.weight_energy(weight), up=up)
    reference = literal.modulated_conv(x, weight, styles, demodulate=True, up=up)
    assert_same_gradients(ours, reference, [x, weight, styles])


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("size", [2, 12])
def test_one_sample_gives_the_same_with_the_weights_scaled_as_with_the_activations(
    size: int, up: bool
) -> None:
    x = random(1, 4, size, size).requires_grad_()
    weight = random(7, 4, 3, 3).requires_grad_()
    styles = random(1, 4, seed=1).requires_grad_()
    energy = ops.weight_energy(weight)
    ours = ops.modulated_conv2d(x, weight, styles, energy, up=up, gain=1.5)
    reference = 1.5 * literal.modulated_conv(x, weight, styles, demodulate=True, up=up)
    assert_same_gradients(ours, reference, [x, weight, styles])
    frozen = weight.detach()
    energy = ops.weight_energy(frozen)
    activations = ops.modulated_conv2d(x, frozen, styles, energy, up=up, gain=1.5)
    assert_same_gradients(activations, ours, [x, styles])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_colours_are_a_convolution_in_either_layout(layout: torch.memory_format) -> None:
    x = random(2, 4, 5, 6).contiguous(memory_format=layout).requires_grad_()
    weight, styles = random(3, 4, 1, 1).requires_grad_(), random(2, 4, seed=1).requires_grad_()
    ours = ops.modulated_matmul(x, weight, styles)
    reference = literal.modulated_conv(x, weight, styles, demodulate=False, up=False)
    assert_same_gradients(ours, reference, [x, weight, styles])


def test_demodulation_survives_styles_of_zero() -> None:
    x, weight = random(1, 4, 5, 5), random(2, 4, 3, 3)
    styles = torch.zeros(1, 4, dtype=torch.float64).requires_grad_()
    out = ops.modulated_conv2d(x, weight, styles, ops.weight_energy(weight))
    (gradient,) = torch.autograd.grad(out.sum(), [styles])
    assert out.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("size", [(4, 4), (6, 10)])
def test_upsampling_equals_zero_insertion_and_filter(size: tuple[int, int]) -> None:
    x = random(2, 3, *size).requires_grad_()
    reference = torch.stack([literal.upsample(sample) for sample in x])
    assert_same_gradients(ops.upsample(x), reference, [x])


def test_upsampling_keeps_a_flat_picture_flat_inside() -> None:
    up = ops.upsample(torch.full((1, 1, 8, 8), 0.7, dtype=torch.float64))
    torch.testing.assert_close(up[..., 2:-2, 2:-2], torch.full((1, 1, 12, 12), 0.7).double())


def test_activation_equals_the_literal_one() -> None:
    x, bias = random(2, 3).requires_grad_(), random(3).requires_grad_()
    assert_same_gradients(ops.bias_act(x, bias), literal.activate(x + bias, None), [x, bias])


def test_normalisation_equals_the_literal_one() -> None:
    x = random(3, 8).requires_grad_()
    assert_same_gradients(ops.normalize_2nd_moment(x), literal.normalize(x), [x])


# ---------------------------------------------------------------------------------------------
# The whole network

CONFIGS = {
    "16px": GeneratorConfig(16, 6, 5, 2, (8, 6, 4)),
    "32px, widths that grow": GeneratorConfig(32, 4, 8, 1, (3, 5, 7, 9)),
    "32px, clamped": GeneratorConfig(32, 8, 8, 3, (8, 8, 6, 4), conv_clamp=0.8),
    "64px": GeneratorConfig(64, 8, 8, 8, (8, 8, 6, 4, 2)),
    "16px, one channel": GeneratorConfig(16, 8, 8, 2, (4, 4, 4), img_channels=1),
}


def build(config: GeneratorConfig) -> Generator:
    """Fill a generator of that shape, in float64, with nothing left at zero."""
    generator = Generator(config).double().eval()
    with torch.no_grad():
        for index, (name, tensor) in enumerate(generator.state_dict().items()):
            values = random(*tensor.shape, seed=index)
            scale = 100.0 if name.startswith("mapping.fc") and name.endswith("weight") else 1.0
            tensor.copy_(values * (0.3 if name.endswith(("bias", "strength")) else scale))
    return generator


def weights_of(generator: Generator) -> dict[str, Tensor]:
    return {**dict(generator.named_parameters()), **dict(generator.named_buffers())}


@pytest.mark.parametrize("name", CONFIGS)
def test_synthesis_equals_the_literal_network(name: str) -> None:
    config = CONFIGS[name]
    generator = build(config)
    ws = random(2, config.num_ws, config.w_dim).requires_grad_()
    noises = {
        layer: random(*noise.shape, seed=5).requires_grad_()
        for layer, noise in generator.synthesis.noise_consts().items()
    }
    tensors = weights_of(generator)
    reference, features = literal.synthesis(tensors, ws, noises, config.conv_clamp)
    *_, last = outputs = list(generator.synthesis.run(ws, noises))
    assert [output.resolution for output in outputs] == list(config.block_resolutions)
    for output in outputs:
        assert_exact(output.features, features[output.resolution])
    assert last.image is not None
    trained = [p for n, p in generator.named_parameters() if n.startswith("synthesis.")]
    assert_same_gradients(last.image, reference, [ws, *noises.values(), *trained])


@pytest.mark.parametrize("name", ["16px", "32px, clamped"])
def test_own_noise_is_rendered_unless_switched_off(name: str) -> None:
    config = CONFIGS[name]
    generator = build(config)
    tensors = weights_of(generator)
    ws = random(2, config.num_ws, config.w_dim)
    own = generator.synthesis.noise_consts()
    with torch.no_grad():
        with_noise, _ = literal.synthesis(tensors, ws, own, config.conv_clamp)
        without, _ = literal.synthesis(tensors, ws, {}, config.conv_clamp)
        assert_exact(generator.synthesis(ws), with_noise)
        assert_exact(generator.synthesis(ws, noise_mode="none"), without)
    assert (with_noise - without).abs().max() > 0.01


def test_given_noise_replaces_only_the_named_layers() -> None:
    generator = build(CONFIGS["16px"])
    ws = random(1, 6, 5)
    given = {"b8.conv1": random(8, 8, seed=3)}
    merged = {**generator.synthesis.noise_consts(), **given}
    with torch.no_grad():
        reference, _ = literal.synthesis(weights_of(generator), ws, merged)
        assert_exact(generator.synthesis(ws, given), reference)


def test_random_noise_differs_per_sample_and_repeats_with_its_seed() -> None:
    generator = build(CONFIGS["16px"])
    ws = random(1, 6, 5).expand(2, -1, -1)
    with torch.no_grad():
        first, again = (
            generator.synthesis(ws, noise_mode="random", rng=torch.Generator().manual_seed(7))
            for _ in range(2)
        )
    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().max() > 0.01


def test_synthesis_can_be_left_and_resumed_at_any_block() -> None:
    generator = build(CONFIGS["32px, clamped"])
    ws = random(1, 8, 8)
    with torch.no_grad():
        whole = generator.synthesis(ws)
        for stop in (4, 8, 16):
            start = next(o for o in generator.synthesis.run(ws) if o.resolution == stop)
            *_, last = generator.synthesis.run(ws, start=start)
            assert last.image is not None
            torch.testing.assert_close(last.image, whole, rtol=0, atol=0)


@pytest.mark.parametrize("psi", [1.0, 0.7, 0.0, -0.5])
@pytest.mark.parametrize("name", ["16px", "64px"])
def test_mapping_equals_the_literal_network(name: str, psi: float) -> None:
    generator = build(CONFIGS[name])
    z = random(3, CONFIGS[name].z_dim).requires_grad_()
    ours = generator.mapping(z, psi)
    reference = literal.mapping(weights_of(generator), z, psi)
    if psi == 0.0:
        assert_exact(ours, reference)
    else:
        trained = list(generator.mapping.parameters())
        assert_same_gradients(ours, reference, [z, *trained])


def test_single_precision_stays_close_to_the_literal_network() -> None:
    generator = tiny_generator(32, conv_clamp=2.0)
    rng = torch.Generator().manual_seed(1)
    z = torch.randn(2, 16, generator=rng)
    tensors = {name: tensor.double() for name, tensor in generator.state_dict().items()}
    noises = {n: t.double() for n, t in generator.synthesis.noise_consts().items()}
    w = literal.mapping(tensors, z.double(), 0.7)
    reference, _ = literal.synthesis(tensors, torch.stack([w] * 8, dim=1), noises, 2.0)
    picture = generator(z, truncation_psi=0.7)
    assert picture.dtype == torch.float32
    torch.testing.assert_close(picture.double(), reference, rtol=1e-4, atol=1e-4)


def test_ws_of_another_size_are_named_in_the_error() -> None:
    generator = tiny_generator(16)
    with pytest.raises(ValueError, match=r"\[N, 6, 16\], got \(1, 5, 16\)"):
        generator.synthesis(torch.zeros(1, 5, 16))


@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256, 512, 1024])
def test_layers_take_the_ws_that_the_field_agreed_on(resolution: int) -> None:
    config = GeneratorConfig(resolution, 2, 2, 1, (1,) * (resolution.bit_length() - 2))
    with torch.device("meta"):
        synthesis = Generator(config).synthesis
    first = {r: synthesis.block(r).first_w for r in config.block_resolutions}
    assert first == {r: 0 if r == 4 else 2 * (r.bit_length() - 1) - 5 for r in first}
    assert config.num_ws == 2 * (resolution.bit_length() - 1) - 2
