"""Read pickles as data: a small interpreter that cannot import or call anything.

Python's own unpickler executes what a file asks for. This one runs the opcodes itself, knows only
the names of `stylegan2.formats.pickle_allowlist`, and returns plain containers, numbers, text and
the inert types of `stylegan2.formats.stored`. Memory is bounded by MAX_OPCODES and by the tensors
that a caller loads.

Source for the opcodes: the Python standard library's pickletools documentation.
"""

from __future__ import annotations

import pickle as op  # only for the names of the opcodes
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.pickle_allowlist import (
    CALLS,
    CONSTANTS,
    Calls,
    as_key,
    new_set,
    set_state,
)
from stylegan2.formats.stored import UnsafeCheckpoint

MAX_OPCODES = 400_000
"""Far above any network file (about 60 000 at most); bounds memory against floods of objects."""

MAX_TEXT = 8 << 20
"""Bytes in one piece of text; network files carry source code of some 100 kB."""

PersistentLoad = Callable[[object], object]


def load_pickle(
    data: memoryview,
    *,
    start: int = 0,
    calls: Calls | None = None,
    persistent_load: PersistentLoad | None = None,
) -> tuple[object, int]:
    """Interpret one pickle in data; return its object and the position after it.

    calls adds names to the list, persistent_load answers torch's references to storages.
    Raises UnsafeCheckpoint for a name or an operation outside the list, WeightsInvalid for a
    damaged or truncated pickle.
    """
    machine = _Machine(data, start, {**CALLS, **(calls or {})}, persistent_load)
    try:
        return machine.run(), machine.at
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error) as error:
        raise WeightsInvalid(
            f"the file is damaged or incomplete at byte {machine.at} ({type(error).__name__})"
        ) from error


@dataclass(frozen=True)
class _Symbol:
    name: str


# ---------------------------------------------------------------------------------------------
# The interpreter

_VALUES = {op.NONE[0]: None, op.NEWTRUE[0]: True, op.NEWFALSE[0]: False}
_EMPTY: Mapping[int, Callable[[], object]] = {
    op.EMPTY_DICT[0]: dict, op.EMPTY_LIST[0]: list, op.EMPTY_TUPLE[0]: tuple, op.EMPTY_SET[0]: set
}  # fmt: skip
_NUMBERS = {op.BININT[0]: "<i", op.BININT1[0]: "<B", op.BININT2[0]: "<H", op.BINFLOAT[0]: ">d"}
_TEXT = {op.SHORT_BINUNICODE[0]: 1, op.BINUNICODE[0]: 4, op.BINUNICODE8[0]: 8}
_OLD_TEXT = {op.SHORT_BINSTRING[0]: 1, op.BINSTRING[0]: 4}
_BYTES = {op.SHORT_BINBYTES[0]: 1, op.BINBYTES[0]: 4, op.BINBYTES8[0]: 8, op.BYTEARRAY8[0]: 8}
_LONGS = {op.LONG1[0]: 1, op.LONG4[0]: 4}
_TUPLES = {op.TUPLE1[0]: 1, op.TUPLE2[0]: 2, op.TUPLE3[0]: 3}
_SKIPPED = {op.PROTO[0]: 1, op.FRAME[0]: 8}
_PUTS = {op.BINPUT[0]: 1, op.LONG_BINPUT[0]: 4}
_GETS = {op.BINGET[0]: 1, op.LONG_BINGET[0]: 4}


class _Machine:
    def __init__(
        self, data: memoryview, start: int, calls: Calls, persistent_load: PersistentLoad | None
    ) -> None:
        self.data = data
        self.at = start
        self.calls = calls
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> object:
        for _ in range(MAX_OPCODES):
            code = self.data[self.at]
            self.at += 1
            if code == op.STOP[0]:
                return self.stack.pop()
            if code in _SIMPLE:
                _SIMPLE[code](self)
            else:
                self.push_value(code)
        raise UnsafeCheckpoint(f"the file has more than {MAX_OPCODES} objects; refused")

    def push_value(self, code: int) -> None:
        """Run an opcode that only differs from its siblings in how its argument is written."""
        push = self.stack.append
        if code in _VALUES:
            push(_VALUES[code])
        elif code in _EMPTY:
            push(_EMPTY[code]())
        elif code in _NUMBERS:
            layout = _NUMBERS[code]
            push(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])
        elif code in _TEXT:
            push(self.text(self.unsigned(_TEXT[code]), "utf-8"))
        elif code in _OLD_TEXT:
            push(self.text(self.unsigned(_OLD_TEXT[code]), "latin1"))
        elif code in _BYTES:
            push(self.take(self.unsigned(_BYTES[code])))
        elif code in _LONGS:
            push(self.long(self.unsigned(_LONGS[code])))
        elif code in _TUPLES:
            self.stack[-_TUPLES[code] :] = [tuple(self.top(_TUPLES[code]))]
        elif code in _PUTS:
            self.memo[self.unsigned(_PUTS[code])] = self.stack[-1]
        elif code in _GETS:
            push(self.memo[self.unsigned(_GETS[code])])
        elif code in _SKIPPED:
            self.take(_SKIPPED[code])
        else:
            raise UnsafeCheckpoint(
                f"the file uses pickle operation 0x{code:02x} at byte {self.at - 1}, which no "
                "network file needs; refused"
            )

    # Reading

    def take(self, count: int) -> memoryview:
        if count < 0 or count > len(self.data) - self.at:
            raise WeightsInvalid("the file ends too early; it is incomplete, get it again")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def text(self, length: int, encoding: str) -> str:
        if length > MAX_TEXT:
            raise WeightsInvalid(f"the file holds a text of {length} bytes; it is damaged")
        return str(
            self.take(length), encoding, "surrogatepass" if encoding == "utf-8" else "strict"
        )

    def long(self, width: int) -> int:
        if width > 64:
            raise WeightsInvalid(f"the file holds a number of {width} bytes; it is damaged")
        return int.from_bytes(self.take(width), "little", signed=True)

    def line(self) -> str:
        window = bytes(self.data[self.at : self.at + 4096])
        return str(self.take(window.index(b"\n") + 1)[:-1], "latin1")

    def top(self, count: int) -> list[Any]:
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise IndexError("stack underflow")
        return self.stack[-count:]

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # Opcodes

    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def number(self) -> None:
        line = self.line()
        self.stack.append({"00": False, "01": True}[line] if line in ("00", "01") else int(line))

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError("a list expected")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise TypeError("a dictionary expected")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][as_key(key)] = value

    def add_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise TypeError("a set expected")
        self.stack[-1].update(as_key(item) for item in items)

    def dictionary(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self.set_items(items)

    def symbol(self, module: object, name: object) -> None:
        full = f"{module}.{name}"
        if full in CONSTANTS:
            self.stack.append(CONSTANTS[full])
        elif full in self.calls:
            self.stack.append(_Symbol(full))
        else:
            raise UnsafeCheckpoint(
                f"the file asks for {ascii(full)[1:-1][:80]}, which is not among the names that "
                "network files need; refused, and nothing was run. If it is a network, store its "
                "tensors alone where it comes from: torch.save(generator.state_dict(), FILE)"
            )

    def named_symbol(self) -> None:
        self.symbol(self.line(), self.line())

    def stack_symbol(self) -> None:
        module, name = self.top(2)
        del self.stack[-2:]
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("names expected")
        self.symbol(module, name)

    def call(self) -> None:
        function, arguments = self.top(2)
        del self.stack[-2:]
        if not isinstance(function, _Symbol) or not isinstance(arguments, tuple):
            raise UnsafeCheckpoint("the file calls something that is not a name; refused")
        self.stack.append(self.calls[function.name](*arguments))

    def instance(self) -> None:
        arguments = tuple(self.pop_mark())
        self.named_symbol()
        self.stack.append(arguments)
        self.call()

    def build(self) -> None:
        state = self.stack.pop()
        set_state(self.stack[-1], state)

    def persistent(self) -> None:
        if self.persistent_load is None:
            raise UnsafeCheckpoint("the file refers to data outside itself; refused")
        self.stack.append(self.persistent_load(self.stack.pop()))

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]


_SIMPLE: Mapping[int, Callable[[_Machine], None]] = {
    op.MARK[0]: lambda m: m.marks.append(len(m.stack)),
    op.POP[0]: _Machine.pop,
    op.POP_MARK[0]: lambda m: m.pop_mark().clear(),
    op.DUP[0]: lambda m: m.stack.append(m.stack[-1]),
    op.INT[0]: _Machine.number,
    op.LONG[0]: lambda m: m.stack.append(int(m.line().removesuffix("L"))),
    op.FLOAT[0]: lambda m: m.stack.append(float(m.line())),
    op.UNICODE[0]: lambda m: m.stack.append(m.line().encode("latin1").decode("raw-unicode-escape")),
    op.STRING[0]: lambda m: m.stack.append(m.line()[1:-1]),
    op.LIST[0]: lambda m: m.stack.append(m.pop_mark()),
    op.TUPLE[0]: lambda m: m.stack.append(tuple(m.pop_mark())),
    op.DICT[0]: _Machine.dictionary,
    op.APPEND[0]: lambda m: m.append([m.stack.pop()]),
    op.APPENDS[0]: lambda m: m.append(m.pop_mark()),
    op.SETITEM[0]: lambda m: m.set_items([*reversed((m.stack.pop(), m.stack.pop()))]),
    op.SETITEMS[0]: lambda m: m.set_items(m.pop_mark()),
    op.ADDITEMS[0]: _Machine.add_items,
    op.FROZENSET[0]: lambda m: m.stack.append(new_set(m.pop_mark())),
    op.GLOBAL[0]: _Machine.named_symbol,
    op.STACK_GLOBAL[0]: _Machine.stack_symbol,
    op.INST[0]: _Machine.instance,
    op.REDUCE[0]: _Machine.call,
    op.NEWOBJ[0]: _Machine.call,
    op.BUILD[0]: _Machine.build,
    op.BINPERSID[0]: _Machine.persistent,
    op.PUT[0]: lambda m: m.memo.__setitem__(int(m.line()), m.stack[-1]),
    op.GET[0]: lambda m: m.stack.append(m.memo[int(m.line())]),
    op.MEMOIZE[0]: _Machine.memoize,
}
