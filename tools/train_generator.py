"""Train the generator and its encoders against heads on frozen features.

    python -m tools.train_generator DATA --run runs/faces --seconds 540 [--start FOLDER]

DATA is what tools/adversarial/packing.py writes, with features.json and features.bin beside it; see
tools/README.md. --start is the `results` of another run: of the same size, or of half, as wide or
narrower. A GPU is used if there is one. Stop at any time: the same command goes on from the last
checkpoint, as if it had not been stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.machine.memory import keep_freed_memory
from tools.adversarial.config import AdversarialConfig
from tools.adversarial.heads import frozen_features
from tools.adversarial.loop import Limits, Run, run
from tools.adversarial.networks import build
from tools.adversarial.packing import DataInvalid, read_pack
from tools.adversarial.pictures import Pictures, draw_weights
from tools.adversarial.storing import NothingStored
from tools.adversarial.training import Training
from tools.keras_graph import GraphInvalid


def parser() -> argparse.ArgumentParser:
    """Describe the options: what a run needs, and each number of its configuration."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path, help="folder of the packed faces and features")
    options.add_argument("--run", type=Path, required=True, help="folder for all that is written")
    options.add_argument("--start", type=Path, help="results of another run to go on from")
    options.add_argument("--seconds", type=float, default=float("inf"), help="of learning, in all")
    options.add_argument("--kimg", type=float, default=float("inf"), help="thousands of pictures")
    options.add_argument("--report", type=float, default=15.0, help="seconds between figures")
    options.add_argument("--save", type=float, default=150.0, help="seconds between checkpoints")
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--eager", action="store_true", help="on a GPU: no captured graph")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--source-weight",
        action="append",
        default=[],
        metavar="SOURCE=FACTOR",
        help="draw sources that begin so more often or less; may be given again",
    )
    numbers = options.add_argument_group("numbers", "what each is: tools/adversarial/config.py")
    for name, value in asdict(AdversarialConfig()).items():
        numbers.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train until a limit."""
    options = parser()
    asked = options.parse_args(arguments)
    keep_freed_memory()
    device = torch.device(asked.device)
    torch.manual_seed(asked.seed)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = True, 4
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    try:
        by_source = {
            start: float(factor)
            for start, factor in (each.split("=") for each in asked.source_weight)
        }
        config = AdversarialConfig(
            **{name: getattr(asked, name) for name in asdict(AdversarialConfig())}
        )
        pack = read_pack(asked.data)
        features = frozen_features(asked.data)
        networks = build(config, device, asked.start)
    except (DataInvalid, GraphInvalid, NothingStored, ValueError) as error:
        options.error(str(error))
    weights = draw_weights(pack, config.rare_weight, by_source)
    training = Training(config, networks, Pictures(pack, weights, device), features, asked.seed)
    going = Run(training, asked.run)
    going.resume()
    if device.type == "cuda" and not asked.eager:
        training.capture()
    run(going, Limits(asked.seconds, asked.kimg, asked.report, asked.save), _say)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
