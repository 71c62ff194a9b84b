"""`python -m benchmarks [NAMES...]`: run benchmarks, store their sections, write RESULTS.md.

Samples of the papers' tables are kept: a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.report import PAGE, RESULTS, Stored, provenance, store, write_page
from benchmarks.section import Options, SectionSkipped
from stylegan2.embedded import EMBEDDED

QUALITY = (
    *("looks", "targets", "paired", "landmarks", "there_and_back"),
    *("photos", "parts", "ablation", "locality"),
)
"""The quality measures, in the order of the page; the other benchmarks follow by name."""


def find_benchmarks() -> tuple[str, ...]:
    """Return every module of this folder that has a function `run`, quality measures first."""
    folder = Path(__file__).parent
    names = [
        path.stem
        for path in sorted(folder.glob("*.py"))
        if re.search(r"^def run\(", path.read_text("utf-8"), re.MULTILINE)
    ]
    names.sort(key=lambda name: QUALITY.index(name) if name in QUALITY else len(QUALITY))
    return tuple(names)


def main(arguments: list[str]) -> int:
    """Run what was asked for; a benchmark that fails does not stop the others."""
    known = find_benchmarks()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which ones (default: all): quality, {', '.join(known)}",
    )
    parser.add_argument("--quick", action="store_true", help="small samples, a few minutes")
    parser.add_argument("--samples", type=int, help="at most so many faces, pairs or photos")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (default: 1)")
    parser.add_argument("--network", default=EMBEDDED, help="a name of the zoo, or a file")
    parser.add_argument("--faces", type=Path, help="folder with dev/ and dev_landmarks.npz")
    parser.add_argument(
        "--transformer", type=Path, help="weights by tools/train_latent_transformer.py, a row more"
    )
    parser.add_argument("--device", default="cpu", help="torch's name of it (default: cpu)")
    asked = parser.parse_args(arguments)
    names: list[str] = []
    for name in asked.names or known:
        if name != "quality" and name not in known:
            parser.error(f"there is no benchmark {name}: choose from quality, {', '.join(known)}")
        names += QUALITY if name == "quality" else (name,)

    started = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - started:6.1f} s] {line}", flush=True)

    options = Options(
        quick=asked.quick,
        seed=asked.seed,
        network=asked.network,
        faces=asked.faces,
        device=asked.device,
        work=Path("runs/benchmarks"),
        results=RESULTS,
        say=say,
        samples=asked.samples,
        transformer=asked.transformer,
    )
    options.work.mkdir(parents=True, exist_ok=True)
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for name in dict.fromkeys(names):
        say(f"{name}:")
        begun = time.perf_counter()
        try:
            section = import_module(f"benchmarks.{name}").run(options)
        except SectionSkipped as reason:
            say(f"{name} is skipped: {reason}")
            continue
        except Exception:
            traceback.print_exc()
            failed.append(name)
            continue
        facts = provenance(
            quick=asked.quick,
            samples=asked.samples,
            seed=asked.seed,
            network=asked.network,
            device=asked.device,
            seconds=time.perf_counter() - begun,
        )
        store(Stored(section, facts), RESULTS)
        write_page(RESULTS, PAGE, QUALITY)
    say(f"{PAGE} is written" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
