"""Freed memory is kept while it is of use, and given back after."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from pipeline.machine.memory import keep_freed_memory

TOUCH_THE_SAME_SIZE_AGAIN_AND_AGAIN = """
import resource, sys
from pathlib import Path
from pipeline.machine.memory import give_back_memory, keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
import torch

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def megabytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))

for round in range(20):
    if round == 10:
        before = faults()
    torch.ones(25_000_000)
print(faults() - before, megabytes())
give_back_memory()
print(0, megabytes())
"""


def run(how: str) -> list[list[int]]:
    told = subprocess.run(
        [sys.executable, "-c", TOUCH_THE_SAME_SIZE_AGAIN_AND_AGAIN, how],
        capture_output=True,
        text=True,
        check=True,
    )
    return [[int(word) for word in line.split()] for line in told.stdout.splitlines()]


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only the GNU C library has this switch"
)
def test_kept_memory_is_not_asked_of_the_system_again_until_it_is_given_back() -> None:
    (faults, kept), (_, after) = run("kept")
    (faults_by_default, _), _ = run("by default")
    assert faults < faults_by_default / 10
    assert after < kept - 80


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
