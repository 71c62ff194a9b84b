"""The one table from failure to exit code and HTTP status."""

from __future__ import annotations

import importlib

import pytest
import torch

from pipeline.disk.workspace import WorkspaceInvalid
from pipeline.failures import (
    BUG,
    CANCELLED,
    EXIT_CODES,
    FAILURES,
    FOREIGN,
    MACHINE,
    failure_of,
    message_of,
    to_json,
)


@pytest.mark.parametrize("path", [*FAILURES, *FOREIGN])
def test_every_row_names_a_class_that_exists(path: str) -> None:
    module, name = path.rsplit(".", 1)
    found = getattr(importlib.import_module(module), name)
    assert issubclass(found, BaseException)
    assert f"{found.__module__}.{found.__qualname__}" == path


@pytest.mark.parametrize("failure", [*FAILURES.values(), *FOREIGN.values()])
def test_every_row_has_a_documented_exit_code_and_an_error_status(failure: object) -> None:
    assert failure.exit_code in EXIT_CODES  # type: ignore[attr-defined]
    assert failure.exit_code not in (0, BUG)  # type: ignore[attr-defined]
    assert 400 <= failure.http_status <= 599  # type: ignore[attr-defined]


def test_a_class_that_is_not_in_the_table_is_a_bug() -> None:
    assert failure_of(RuntimeError("x")).exit_code == BUG


def test_a_subclass_means_what_its_base_means() -> None:
    class OfAnotherPhoto(WorkspaceInvalid):
        pass

    assert failure_of(OfAnotherPhoto("x")).kind == "WorkspaceInvalid"


def test_running_out_of_memory_is_the_machines_failure_with_advice() -> None:
    for error in (
        MemoryError("x"),
        torch.OutOfMemoryError("x"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.9 GB, max allowed: 9.1 GB)"),
    ):
        assert failure_of(error).exit_code == MACHINE
        assert "smaller network" in message_of(error)


def test_ctrl_c_is_cancelled_and_says_that_work_is_kept() -> None:
    assert failure_of(KeyboardInterrupt()).exit_code == CANCELLED
    assert message_of(KeyboardInterrupt()) == "cancelled; what was finished is kept"


def test_machines_get_kind_message_and_exit_code() -> None:
    assert to_json(WorkspaceInvalid("a.realdrag is another photo's")) == {
        "event": "error",
        "kind": "WorkspaceInvalid",
        "message": "a.realdrag is another photo's",
        "exit_code": MACHINE,
        "http_status": 409,
    }
