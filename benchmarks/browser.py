"""The studio as a person has it: a server of its own, and the browser that shows its page."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run")

PAGE_MS = 120_000
PREPARING_MS = 3_600_000
"""Milliseconds to wait for the page, and for projection and tuning."""


ROOT = Path(__file__).parents[1]


@contextmanager
def studio(folder: Path) -> Iterator[str]:
    """Run this tree's `realdrag studio` in a folder, and give the address that it prints."""
    command = [sys.executable, "-m", "pipeline", "studio", "--no-browser", "--json"]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield next(event["address"] for event in map(json.loads, process.stdout))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
