"""What a stage gets, and how its code is found: it is loaded when the stage has to compute."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.disk.artifact import Artifact, Draft, Request
from pipeline.progress import Job

if TYPE_CHECKING:
    from pipeline.machine.bench import Bench


@dataclass(frozen=True)
class Work:
    """What a stage gets: its request, verified inputs, and a draft to write into.

    files are inputs from outside (the photo, landmarks, a mask); their bytes have been checked
    against the request.
    """

    request: Request
    inputs: Mapping[str, Artifact]
    files: Mapping[str, Path]
    draft: Draft
    bench: Bench


Compute = Callable[[Work], Job[Mapping[str, Any]]]
"""Yields progress, fills the draft, and returns what it settled of the config ("auto", ...)."""


def compute(work: Work) -> Job[Mapping[str, Any]]:
    """Load the code of the stage that is asked for, `pipeline/stages/NAME.py`, and compute."""
    stage: Compute = importlib.import_module(f"pipeline.stages.{work.request.stage}").run
    return stage(work)
