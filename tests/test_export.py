"""What other tools get from us, and latents that come from them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stylegan2.formats.convert import UnsafeCheckpoint, load_network
from stylegan2.formats.export import export_network
from stylegan2.formats.latents import LatentsInvalid, read_latents, write_latents
from tests import checkpoint_makers as make
from tests.checkpoint_makers import write
from tests.factories import tiny_generator


def ws(num_ws: int = 6, w_dim: int = 16) -> torch.Tensor:
    return torch.randn(1, num_ws, w_dim, generator=torch.Generator().manual_seed(0))


def test_nvidia_layout_has_exactly_the_names_of_nvidias_generator(tmp_path: Path) -> None:
    generator = tiny_generator(16, conv_clamp=256.0)
    path = tmp_path / "out.safetensors"
    export_network(generator, path, "nvidia")
    with make.stub_modules(**make.STUBS):
        wanted = make.nvidia_module(generator.state_dict()).state_dict()
    exported = load_file(path)
    assert exported.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(exported[name], tensor, rtol=0, atol=1e-7)
    loaded = load_network(path)
    assert loaded.config == generator.config
    assert all(torch.equal(t, loaded.state_dict()[n]) for n, t in generator.state_dict().items())
    assert list(tmp_path.iterdir()) == [path]


def test_own_layout_leaves_the_filters_out(tmp_path: Path) -> None:
    generator = tiny_generator(16)
    export_network(generator, tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors").keys() == generator.state_dict().keys()


def test_latents_come_back_from_npz(tmp_path: Path) -> None:
    path = tmp_path / "projected_w.npz"
    write_latents(ws(), path)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["w"].shape == (1, 6, 16) and archive["w"].dtype == np.float32
    assert torch.equal(read_latents(path, 6, 16), ws())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("compressed", [True, False])
def test_latents_of_other_writers_are_read(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "w.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, w=np.asfortranarray(ws().double().numpy()))
    assert torch.equal(read_latents(path, 6, 16), ws())


@pytest.mark.parametrize("zipped", [True, False])
def test_pivot_of_pti_is_read(tmp_path: Path, zipped: bool) -> None:
    pivot = torch.nn.Parameter(ws()) if zipped else ws()
    path = write(tmp_path, "0.pt", make.torch_save(pivot, zipped=zipped))
    assert torch.equal(read_latents(path, 6, 16), ws())


@pytest.mark.parametrize("shape", [(16,), (1, 16), (1, 1, 16), (6, 16)])
def test_w_alone_is_repeated_for_every_layer(tmp_path: Path, shape: tuple[int, ...]) -> None:
    w = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "w.npy"
    np.save(path, w.numpy())
    found = read_latents(path, 6, 16)
    assert torch.equal(found[0], w if shape == (6, 16) else w.reshape(1, 16).expand(6, 16))


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch realdrag_was_here",)


@pytest.mark.parametrize("kind", ["pt", "npz"])
def test_hostile_latents_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "pt":
        content = make.torch_save(Hostile())
    else:
        buffer = io.BytesIO()
        np.savez(buffer, w=np.array([Hostile()], dtype=object))
        content = buffer.getvalue()
    with pytest.raises((UnsafeCheckpoint, LatentsInvalid)):
        read_latents(write(tmp_path, "w.bin", content), 6, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["w.bin"]


def npz_of(array: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", array)
    return buffer.getvalue()


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


BAD_LATENTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another network's": (lambda: make.torch_save(ws(8, 16)), r"\[1, 8, 16\].*\[1, 6, 16\]"),
    "a dictionary": (lambda: make.torch_save({"v": ws()}), "one tensor"),
    "not finite": (lambda: make.torch_save(ws() / 0), "not finite"),
    "a flood of zeros": (lambda: npz_of(npy_header("(1, 6, 16)") + bytes(50 << 20)), "damaged"),
    "a huge shape": (lambda: npz_of(npy_header("(1, 1048576, 1048576)")), "damaged"),
    "no entry w": (
        lambda: npz_of(npy_header("(1,)") + bytes(4)).replace(b"w.npy", b"v.npy"),
        "an entry w",
    ),
    "nothing": (lambda: b"", "empty"),
    "text": (lambda: b"hello", "holds no latents"),
    "several pictures": (lambda: make.torch_save(ws().repeat(4, 1, 1)), "those of 4 pictures"),
    "huge tensor": (lambda: make.torch_save(torch.zeros(1, 600, 512)), "too large"),
}


@pytest.mark.parametrize("case", BAD_LATENTS)
def test_wrong_latents_are_named(tmp_path: Path, case: str) -> None:
    content, message = BAD_LATENTS[case]
    path = write(tmp_path, "w.bin", content())
    with pytest.raises((LatentsInvalid, UnsafeCheckpoint), match=message) as error:
        read_latents(path, 6, 16)
    assert str(path) in str(error.value)


def test_latents_cut_short_are_named(tmp_path: Path) -> None:
    write_latents(ws(), tmp_path / "w.npz")
    content = (tmp_path / "w.npz").read_bytes()
    for size in range(1, len(content), 37):
        with pytest.raises((LatentsInvalid, UnsafeCheckpoint)):
            read_latents(write(tmp_path, "cut.npz", content[:size]), 6, 16)


def test_latents_of_a_wrong_shape_are_a_programmers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(6, 16\)"):
        write_latents(ws()[0], tmp_path / "w.npz")
