"""Hostile and damaged files: a named error, nothing executed, nothing written, little memory."""

from __future__ import annotations

import builtins
import collections
import importlib
import io
import operator
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stylegan2.formats.convert import (
    UnsafeCheckpoint,
    UnsupportedNetwork,
    WeightsInvalid,
    load_network,
)
from stylegan2.formats.stored import StoredArray, StoredTensor
from stylegan2.formats.torch_files import load_objects
from stylegan2.formats.unpickle import MAX_OPCODES, load_pickle
from stylegan2.generator import GeneratorConfig
from tests import checkpoint_makers as make
from tests.checkpoint_makers import write

NAMED = (UnsafeCheckpoint, UnsupportedNetwork, WeightsInvalid)

FORBIDDEN = {"exec", "compile", "import", "os.system", "os.exec", "subprocess.Popen", "os.remove",
             "pickle.find_class", "os.mkdir", "os.rename", "socket.connect"}  # fmt: skip

_events: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _events is not None and event in FORBIDDEN:
        _events.append(event)
    if _events is not None and event == "open" and arguments[1] not in ("r", "rb", None):
        _events.append(f"open {arguments[0]}")


sys.addaudithook(_listen)


@pytest.fixture
def forbidden_events(tmp_path: Path) -> Iterator[list[str]]:
    """Record what Python's audit hooks see while a file is read; imports are done beforehand."""
    global _events
    (tmp_path / "warm").mkdir()
    for content in (make.ada_pickle(make.random_tensors()), make.pti_file(make.random_tensors())):
        load_network(write(tmp_path / "warm", "n.pkl", content))
    _events = []
    yield _events
    _events = None


class Call:
    """Pickles as a call of function with arguments."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def raw(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(module: str, attribute: str) -> bytes:
    """STACK_GLOBAL, whose names may have dots."""
    return text(module) + text(attribute) + b"\x93"


MARK = "realdrag_was_here"
SHELL = f"touch {MARK}"

HOSTILE_OBJECTS: dict[str, Any] = {
    "os.system": Call(os.system, SHELL),
    "eval": Call(eval, f"open({MARK!r}, 'w')"),
    "exec": Call(exec, f"open({MARK!r}, 'w')"),
    "open": Call(open, MARK, "w"),
    "subprocess": Call(subprocess.Popen, ["touch", MARK]),
    "getattr chain": Call(getattr, Call(importlib.import_module, "os"), "system"),
    "attrgetter": Call(operator.attrgetter("system"), "os"),
    "methodcaller": Call(operator.methodcaller("system", SHELL), "os"),
    "nested reduce": {"G_ema": [{"state": (1, Call(os.system, SHELL))}]},
    "call in arguments": Call(collections.OrderedDict, [("a", Call(os.system, SHELL))]),
    "call as state": Call(collections.OrderedDict, state={"x": Call(os.system, SHELL)}),
    "torch.load": Call(torch.load, MARK),
    "torch.hub": Call(torch.hub.load, "somewhere/something", "model"),
    "numpy.load": Call(np.load, MARK),
    "deleting": Call(os.remove, MARK),
    "a type": Call(type, "X", (), {}),
    "globals": Call(builtins.globals),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("case", HOSTILE_OBJECTS)
def test_calls_in_a_plain_pickle_are_refused_by_name(case: str, protocol: int) -> None:
    content = pickle.dumps(HOSTILE_OBJECTS[case], protocol)
    with pytest.raises(UnsafeCheckpoint, match="refused"):
        load_pickle(memoryview(content))


@pytest.mark.parametrize("container", ["pickle", "zip", "stream", "in a tensor of a pickle"])
@pytest.mark.parametrize("case", ["os.system", "eval", "nested reduce", "getattr chain"])
def test_hostile_files_run_and_write_nothing(
    case: str, container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    forbidden_events: list[str],
) -> None:  # fmt: skip
    hostile = HOSTILE_OBJECTS[case]
    forbidden_events.clear()
    content = {
        "pickle": lambda: pickle.dumps({"G_ema": hostile}),
        "zip": lambda: make.torch_save({"g_ema": hostile}),
        "stream": lambda: make.torch_save({"g_ema": hostile}, zipped=False),
        "in a tensor of a pickle": lambda: nested_stream(hostile),
    }[container]()
    path = write(tmp_path, "network.pkl", content)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    forbidden_events.clear()
    with pytest.raises(UnsafeCheckpoint, match=r"asks for .*refused, and nothing was run") as error:
        load_network(path, cache=tmp_path / "cache")
    assert forbidden_events == []
    assert str(path) in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network.pkl", "warm", "work"]
    assert not any((tmp_path / "work").iterdir())


def nested_stream(hostile: Any) -> bytes:
    """Put a hostile torch stream where a pickle keeps a tensor's values."""
    return pickle.dumps(
        Call(torch.storage._load_from_bytes, make.torch_save(hostile, zipped=False))
    )


def test_source_code_of_a_good_file_is_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden_events: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = f"import os\nos.system({SHELL!r})\nraise SystemExit('executed')"
    tensors = make.random_tensors()
    path = write(tmp_path, "network.pkl", make.ada_pickle(tensors, source=source))
    forbidden_events.clear()
    generator = load_network(path)
    assert forbidden_events == []
    assert torch.equal(generator.state_dict()["mapping.w_avg"], tensors["mapping.w_avg"])
    assert not (tmp_path / MARK).exists()


DICT = name("collections", "OrderedDict")

HOSTILE_BYTES = {
    "dotted name": raw(name("collections", "OrderedDict.__reduce__")),
    "dunder of an allowed module": raw(name("torch", "os.system")),
    "old instance opcode": raw(b"(" + text(SHELL) + b"ios\nsystem\n"),
    "old object opcode": raw(b"(" + DICT + b"o"),
    "extension registry": raw(b"\x82\x01"),
    "outside data": raw(text("id") + b"Q"),
    "outside data, old": raw(b"Psome id\n"),
    "out-of-band buffer": raw(b"\x97"),
    "state on a name": raw(DICT + b"}" + text("__init__") + text("x") + b"sb"),
    "state on a name's slots": raw(DICT + b"N}" + text("__code__") + text("x") + b"s\x86b"),
    "state on a number": raw(b"K\x01}b"),
    "calling a dictionary": raw(b"})R"),
    "calling text": raw(text("os.system") + b")R"),
    "keyword construction": raw(DICT + b")}\x92"),
}


@pytest.mark.parametrize("case", HOSTILE_BYTES)
def test_operations_that_no_network_file_needs_are_refused(case: str) -> None:
    with pytest.raises(UnsafeCheckpoint, match="refused"):
        load_pickle(memoryview(HOSTILE_BYTES[case]))


# ---------------------------------------------------------------------------------------------
# Declared sizes against real ones


def storage_zip(elements: int, shape: tuple[int, ...], stride: tuple[int, ...], size: int) -> bytes:
    """Write a torch archive by hand whose pickle lies about its one tensor."""
    reference = (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
        + pickle.dumps(elements, 2)[2:-1] + b"tQ"
    )  # fmt: skip
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + b"K\x00"
        + pickle.dumps(shape, 2)[2:-1] + pickle.dumps(stride, 2)[2:-1] + b"\x89}tR"
    )  # fmt: skip
    content = raw(
        b"}" + text("g_ema") + b"}" + text("conv1.conv.modulation.weight") + tensor + b"ss"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", bytes(size))
    return buffer.getvalue()


def deflated(entry: str) -> bytes:
    """Write a torch archive with one entry that unpacks to 50 MB."""
    buffer = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(make.torch_save({"g_ema": {}})))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in source.infolist():
            if not info.filename.endswith(entry):
                archive.writestr(info.filename, source.read(info), zipfile.ZIP_STORED)
        archive.writestr(f"archive/{entry}", bytes(50 << 20))
    return buffer.getvalue()


def numpy_lie() -> bytes:
    """Pickle a TensorFlow generator with an array that declares 2**40 numbers."""
    content = make.tensorflow_pickle(make.tensorflow_variables(), protocol=2)
    small = pickle.dumps(8, 2)[2:-1] + b"\x85"
    assert small in content
    return content.replace(small, pickle.dumps(2**40, 2)[2:-1] + b"\x85")


OVERSIZED: dict[str, Callable[[], bytes]] = {
    "storage": lambda: storage_zip(2**40, (2**20, 2**20), (2**20, 1), 16),
    "shape": lambda: storage_zip(4, (2**20, 2**20), (2**20, 1), 16),
    "stride of zero": lambda: storage_zip(4, (2**20, 2**20), (0, 0), 16),
    "negative offset by stride": lambda: storage_zip(4, (2,), (-1,), 16),
    "negative size": lambda: storage_zip(4, (-1, -4), (1, 1), 16),
    "numpy": numpy_lie,
    "bytes": lambda: raw(b"\x8e" + struct.pack("<Q", 2**60) + b"abc"),
    "text": lambda: raw(b"\x8d" + struct.pack("<Q", 2**60) + b"abc"),
    "number": lambda: raw(b"\x8b" + struct.pack("<i", 2**30) + bytes(100)),
    "zip bomb in the pickle": lambda: deflated("data.pkl"),
    "zip bomb in the header": lambda: deflated("byteorder"),
}


@pytest.mark.parametrize("case", OVERSIZED)
def test_declared_sizes_are_checked_before_memory_is_taken(case: str, tmp_path: Path) -> None:
    path = write(tmp_path, "network.pkl", OVERSIZED[case]())
    tracemalloc.start()
    try:
        with pytest.raises(WeightsInvalid):
            load_network(path, cache=tmp_path / "cache")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert list(tmp_path.iterdir()) == [path]


def test_stream_with_an_inflated_count_is_refused(tmp_path: Path) -> None:
    content = bytearray(
        make.torch_save({"conv1.conv.modulation.weight": torch.ones(3)}, zipped=False)
    )
    content[-20:-12] = struct.pack("<q", 2**40)
    with pytest.raises(WeightsInvalid, match="another size"):
        load_network(write(tmp_path, "n.pt", bytes(content)))


def test_many_names_for_one_tensor_cannot_multiply_it(tmp_path: Path) -> None:
    big = torch.ones(1000, 1000)
    state = {f"convs.{i}.conv.weight": big for i in range(100)}
    path = write(tmp_path, "n.pt", make.torch_save({"conv1.conv.modulation.weight": big, **state}))
    with pytest.raises(WeightsInvalid, match="larger tensors than it holds"):
        load_network(path)


@pytest.mark.parametrize(
    "flood",
    [b"]" * (MAX_OPCODES + 1), b"}2" * MAX_OPCODES, b"(" * (MAX_OPCODES + 1)],
    ids=["lists", "copies", "marks"],
)
def test_floods_of_small_objects_are_stopped(flood: bytes) -> None:
    with pytest.raises(UnsafeCheckpoint, match="more than"):
        load_pickle(memoryview(raw(flood)))


def test_deep_nesting_needs_no_deep_stack(tmp_path: Path) -> None:
    deep = raw(b"]" * 50_000 + b"a" * 49_999)
    assert isinstance(load_pickle(memoryview(deep))[0], list)
    tuples = raw(b")" + b"\x85" * 50_000)
    assert isinstance(load_pickle(memoryview(tuples))[0], tuple)
    with pytest.raises(WeightsInvalid):  # as a key it would have to be hashed
        load_pickle(memoryview(raw(b"}" + tuples[2:-1] + b"K\x01s")))
    with pytest.raises(UnsupportedNetwork):
        load_network(write(tmp_path, "deep.pkl", deep))


def test_modules_that_hold_one_another_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="hold one another"):
        load_network(write(tmp_path, "n.pkl", looping_record()))


def looping_record() -> bytes:
    """Write a Generator whose dictionary of modules holds the generator itself, twice."""
    meta = (
        b"}" + text("type") + text("class") + b"s" + text("class_name") + text("Generator") + b"s"
    )
    modules = b"}q\x01"
    record = (
        name("torch_utils.persistence", "_reconstruct_persistent_obj")
        + meta + text("state") + b"}" + text("_modules") + modules + b"ss\x85Rq\x02"
    )  # fmt: skip
    fill = b"h\x01" + text("a") + b"h\x02s" + text("b") + b"h\x02s0"
    return raw(b"}" + text("G_ema") + record + fill + b"s")


# ---------------------------------------------------------------------------------------------
# Damage


@pytest.mark.parametrize("layout", ["ada", "pti", "stream", "tensorflow"])
def test_random_damage_gives_a_named_error_or_a_network(
    layout: str, tmp_path: Path, forbidden_events: list[str]
) -> None:
    small = GeneratorConfig(16, 2, 2, 1, (1, 1, 1))
    content = {
        "ada": lambda: make.ada_pickle(make.random_tensors(small)),
        "pti": lambda: make.pti_file(make.random_tensors(small)),
        "stream": lambda: make.pti_file(make.random_tensors(small), zipped=False),
        "tensorflow": lambda: make.tensorflow_pickle(make.tensorflow_variables(small)),
    }[layout]()
    rng = random.Random(layout)
    outcomes: collections.Counter[str] = collections.Counter()
    forbidden_events.clear()
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 3, 20))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path = tmp_path / "damaged.pkl"
        forbidden_events.clear()
        path.write_bytes(damaged)
        forbidden_events.clear()
        try:
            load_network(path)
            outcomes["network"] += 1
        except NAMED as error:
            assert str(path) in str(error)
            outcomes[type(error).__name__] += 1
        assert forbidden_events == []
    assert outcomes["WeightsInvalid"] > 5


def test_flipped_byte_in_a_zip_is_found(tmp_path: Path) -> None:
    content = bytearray(make.torch_save({"conv1.conv.weight": torch.ones(100)}))
    at = content.index(torch.ones(100).numpy().tobytes()) + 8
    content[at] ^= 1
    with pytest.raises(WeightsInvalid, match="damaged"):
        load_network(write(tmp_path, "n.pt", bytes(content)))


# ---------------------------------------------------------------------------------------------
# What it reads is what Python would have read


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_come_out_as_python_reads_them(protocol: int) -> None:
    values = {
        "numbers": [0, 1, -1, 255, 256, 65536, 2**31, -(2**40), 2**100, 0.5, -1e300, True, None],
        "texts": ["", "é", "\N{GRINNING FACE}", "a\nb", "x" * 300],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        7: {"nested": [[], {}, {"a": [1]}]},
        "set": {1, 2} if protocol >= 2 else 0,
    }
    shared = ["same"]
    values["shared"] = [shared, shared]
    content = pickle.dumps(values, protocol)
    result, end = load_pickle(memoryview(content))
    assert result == values
    assert end == len(content)
    assert isinstance(result, dict) and result["shared"][0] is result["shared"][1]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "i8", "u1", "?", ">f4"])
def test_arrays_come_out_as_numpy_reads_them(dtype: str, protocol: int) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for case in (array, np.asfortranarray(array), array[:0], np.array(3.0, dtype)):
        stored, _ = load_pickle(memoryview(pickle.dumps(case, protocol)))
        assert isinstance(stored, StoredArray)
        assert np.array_equal(stored.load().numpy(), case)
    scalar, _ = load_pickle(memoryview(pickle.dumps(np.float64(1.5), protocol)))
    assert scalar == 1.5 and type(scalar) is float


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("container", ["pickle", "zip", "stream"])
def test_tensors_come_out_as_torch_reads_them(container: str, dtype: torch.dtype) -> None:
    base = torch.arange(24).reshape(4, 6).to(dtype)
    tensors = [base, base.t(), base[1:3], base[:, 2], base[0, 0], base[:0], base.clone()]
    content = {
        "pickle": lambda: pickle.dumps(tensors),
        "zip": lambda: make.torch_save(tensors),
        "stream": lambda: make.torch_save(tensors, zipped=False),
    }[container]()
    stored = load_objects(memoryview(content))
    assert isinstance(stored, list)
    for got, wanted in zip(stored, tensors, strict=True):
        assert isinstance(got, StoredTensor)
        assert torch.equal(got.load(), wanted)
