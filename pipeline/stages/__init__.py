"""The stages: what each needs, shows and computes. Their code is loaded when one has to run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.disk.artifact import Artifact, Draft, Request
from pipeline.progress import Job

if TYPE_CHECKING:
    from pipeline.machine.bench import Bench


@dataclass(frozen=True)
class Task:
    """What a stage gets: its request, verified inputs, and a draft to write into.

    files are inputs from outside (the photo, landmarks, a mask); their bytes have been checked
    against the request.
    """

    request: Request
    inputs: Mapping[str, Artifact]
    files: Mapping[str, Path]
    draft: Draft
    bench: Bench


Run = Callable[[Task], Job[Mapping[str, Any]]]
"""Yields progress, fills the draft, and returns what it settled of the config ("auto", ...)."""


@dataclass(frozen=True)
class Stage:
    """One stage. version goes up whenever equal requests would give another result than before.

    needs names the stages whose current artifacts it stands on; shows are the pictures that are
    copied to the top of the workspace.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    shows: tuple[str, ...]

    def run(self, task: Task) -> Job[Mapping[str, Any]]:
        """Load the stage's code and compute."""
        run: Run = importlib.import_module(f"pipeline.stages.{self.name}").run
        return run(task)

    def request(
        self,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        hints: Mapping[str, str] | None = None,
    ) -> Request:
        """Ask for this stage in its present version."""
        return Request(self.name, self.version, config, inputs, hints or {})


STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        stage.name: stage
        for stage in (
            Stage("align", 2, (), ("aligned.png",)),
            Stage("invert", 2, ("align",), ("inverted.png",)),
            Stage("tune", 3, ("align", "invert"), ("tuned.png",)),
            Stage("drag", 4, ("align", "invert", "tune"), ("drag.gif",)),
            Stage(
                "result",
                2,
                ("align", "tune", "drag"),
                ("result.png", "result.jpg", "result.webp", "compare.png"),
            ),
        )
    }
)
"""Every stage, in the order they run."""
