"""Keeping freed memory, so that the system need not hand out the same memory again and again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""mallopt's names for its options, as in malloc.h of the GNU C library."""

NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed for the next allocation; tell whether it does.

    By default it maps each large tensor anew, and the system clears every page of it: with large
    pictures that takes longer than the arithmetic. Only the GNU C library has this switch.
    """
    libc = _gnu_libc()
    if libc is None:
        return False
    return all(libc.mallopt(*each) == 1 for each in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER)))


def give_back_memory() -> None:
    """Return to the system what was kept and is not in use."""
    libc = _gnu_libc()
    if libc is not None:
        libc.malloc_trim(0)


def _gnu_libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if all(hasattr(libc, name) for name in ("mallopt", "malloc_trim")) else None
