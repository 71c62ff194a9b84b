"""The containers that hold pickles: torch's zip archive, its older stream, and a plain pickle.

Sizes that a file declares are held against the bytes that are there before anything is made of
them; storages are views into the mapped file. Layouts as written by torch.save (documented in
torch.serialization) and by pickle.dump of tensors.
"""

from __future__ import annotations

import mmap
import zipfile
import zlib
from pathlib import Path

import torch

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.stored import Storage
from stylegan2.formats.unpickle import load_pickle

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of a file written by torch before 1.6, or of a tensor within a plain pickle."""

STREAM_START = b"\x80\x02\x8a\x0a" + STREAM_MAGIC.to_bytes(10, "little")


def check_regular(path: Path) -> None:
    """Raise WeightsInvalid for a pipe or a device, which has no end or waits for ever."""
    if path.exists() and not path.is_file():
        raise WeightsInvalid(f"{path} is not a file, but a pipe or a device; store it as a file")


def map_file(path: Path) -> memoryview:
    """Map a file into memory, read-only. Raises WeightsInvalid when it is empty or unreadable."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError:
        raise WeightsInvalid(f"{path} is empty; get the file again") from None
    except OSError as error:
        raise WeightsInvalid(f"{path} cannot be read: {error.strerror}") from error


def load_objects(data: memoryview) -> object:
    """Return what a zip archive of torch, a stream of torch, or a plain pickle holds, as data.

    Raises UnsafeCheckpoint and WeightsInvalid as `load_pickle` does.
    """
    if bytes(data[:4]) == b"PK\x03\x04":
        return _load_zip(data)
    if bytes(data[: len(STREAM_START)]) == STREAM_START:
        return _load_stream(data)
    calls = {"torch.storage._load_from_bytes": _storage_from_bytes}
    return load_pickle(data, calls=calls)[0]


def _storage_reference(reference: object) -> tuple[torch.dtype, str, int]:
    """Check ('storage', type, key, device, elements[, view]) and return type, key, elements."""
    match reference:
        case ("storage", torch.dtype() as dtype, str(key), str(), int(count), *rest) if count >= 0:
            if all(item is None for item in rest):
                return dtype, key, count
    raise WeightsInvalid("the file refers to its tensors in an unknown way")


# ---------------------------------------------------------------------------------------------
# The zip archive: NAME/data.pkl, and one uncompressed entry NAME/data/KEY a storage


class _Reader:
    """File access for zipfile over mapped memory, without a copy of the whole."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, len(self.data))[whence]
        if self.at < 0:
            raise OSError("seek before the start")
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, count: int = -1) -> bytes:
        end = len(self.data) if count < 0 else min(self.at + count, len(self.data))
        chunk = bytes(self.data[self.at : end])
        self.at = max(self.at, end)
        return chunk


def _load_zip(data: memoryview) -> object:
    try:
        entries = zipfile.ZipFile(_Reader(data)).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsInvalid(f"the file is damaged or incomplete: {error}") from error
    by_name = {entry.filename: entry for entry in entries}
    roots = [
        name[: -len("data.pkl")]
        for name in by_name
        if name.count("/") == 1 and name.endswith("/data.pkl")
    ]
    if len(roots) != 1:
        raise WeightsInvalid(
            "the zip file was not written by torch.save (no data.pkl in it); if a network was "
            "packed into it, unpack it first"
        )
    if sum(entry.file_size for entry in entries) > len(data):
        raise WeightsInvalid("the file declares more bytes than it has")
    root = roots[0]
    if (
        f"{root}byteorder" in by_name
        and bytes(_entry(data, by_name[f"{root}byteorder"])) != b"little"
    ):
        raise WeightsInvalid("the file was written on a big-endian machine")
    storages: dict[str, Storage] = {}

    def find_storage(reference: object) -> Storage:
        dtype, key, count = _storage_reference(reference)
        if key not in storages:
            name = f"{root}data/{key}"
            if name not in by_name:
                raise WeightsInvalid(
                    f"the file is incomplete: its part {ascii(name)[:80]} is missing"
                )
            if by_name[name].file_size != count * dtype.itemsize:
                raise WeightsInvalid(
                    f"the file declares {count * dtype.itemsize} bytes for its part "
                    f"{ascii(name)[:80]}, which has {by_name[name].file_size}"
                )
            storages[key] = Storage(dtype, _entry(data, by_name[name]))
        return storages[key]

    return load_pickle(_entry(data, by_name[f"{root}data.pkl"]), persistent_load=find_storage)[0]


def _entry(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """Return the bytes of an uncompressed entry. Raises WeightsInvalid for any other."""
    name = ascii(entry.filename)[:80]
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise WeightsInvalid(f"part {name} of the file is compressed, which torch.save never does")
    header = bytes(data[entry.header_offset : entry.header_offset + 30])
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise WeightsInvalid(f"part {name} of the file is damaged")
    start = entry.header_offset + 30 + int.from_bytes(header[26:28], "little")
    start += int.from_bytes(header[28:30], "little")
    chunk = data[start : start + entry.file_size]
    if len(chunk) != entry.file_size or zlib.crc32(chunk) != entry.CRC:
        raise WeightsInvalid(f"part {name} of the file is damaged; get the file again")
    return chunk


# ---------------------------------------------------------------------------------------------
# The stream: magic, version, system, objects, keys, then count and bytes of each storage


def _load_stream(data: memoryview) -> object:
    storages: dict[str, Storage] = {}
    counts: dict[str, int] = {}

    def find_storage(reference: object) -> Storage:
        dtype, key, counts[key] = _storage_reference(reference)
        return storages.setdefault(key, Storage(dtype))

    magic, at = load_pickle(data)
    version, at = load_pickle(data, start=at)
    system, at = load_pickle(data, start=at)
    if magic != STREAM_MAGIC or version != 1001 or not isinstance(system, dict):
        raise WeightsInvalid("the file was written by an unknown version of torch")
    if system.get("little_endian") is not True:
        raise WeightsInvalid("the file was written on a big-endian machine")
    objects, at = load_pickle(data, start=at, persistent_load=find_storage)
    keys, at = load_pickle(data, start=at)
    if not isinstance(keys, list) or not all(isinstance(k, str) and k in storages for k in keys):
        raise WeightsInvalid("the file's list of tensors is damaged")
    for key in keys:
        size = counts[key] * storages[key].dtype.itemsize
        if len(data) - at - 8 < size:
            raise WeightsInvalid("the file ends too early; it is incomplete, get it again")
        if int.from_bytes(data[at : at + 8], "little") != counts[key]:
            raise WeightsInvalid("the file declares a tensor of another size than it holds")
        storages[key].data = data[at + 8 : at + 8 + size]
        at += 8 + size
    return objects


def _storage_from_bytes(data: object) -> Storage:
    """Read a storage that a plain pickle carries as a stream of its own (one level only)."""
    if not isinstance(data, (bytes, memoryview)):
        raise TypeError("bytes expected")
    storage = _load_stream(memoryview(data))
    if not isinstance(storage, Storage):
        raise WeightsInvalid("the file holds something else where a tensor's values should be")
    return storage
