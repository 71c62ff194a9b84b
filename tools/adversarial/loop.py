"""A training by the clock or by pictures: rates, figures, checkpoints and sheets in one folder."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plots import lines
from stylegan2.latents import to_ws
from tools.adversarial.config import rates
from tools.adversarial.mapping import encode_all, fit_mapping
from tools.adversarial.networks import Drawing
from tools.adversarial.storing import store
from tools.adversarial.training import Training
from tools.checkpoint import save_state
from tools.samples import sample, sheet

STATE = "state.pt"
RESULTS = "results"
COLUMNS = 12
PLOTS = find_spec("matplotlib") is not None

Figures = dict[str, float]


@dataclass(frozen=True)
class Limits:
    """When a run is over, whichever comes first; and how often it reports and saves, in seconds."""

    seconds: float = float("inf")
    kimg: float = float("inf")
    report: float = 15.0
    save: float = 150.0


@dataclass
class Run:
    """A training, how far it is, and what its figures were."""

    training: Training
    folder: Path
    images: int = 0
    seconds: float = 0.0
    history: list[Figures] = field(default_factory=list)

    def progress(self, limits: Limits) -> float:
        """Return how much of the run is over, in 0..1."""
        return max(self.seconds / limits.seconds, self.images / 1000 / limits.kimg)

    def advance(self, limits: Limits) -> None:
        """Take one step."""
        began = time.monotonic()
        config = self.training.config
        self.training.set_rates(rates(config, self.images, self.progress(limits)))
        self.training.step()
        self.images += config.batch
        self.seconds += time.monotonic() - began

    # ------------------------------------------------------------------ disk

    def save(self) -> None:
        """Write the whole state; the previous file stays until the new one is complete."""
        state = {
            "config": asdict(self.training.config),
            "training": self.training.state(),
            "images": self.images,
            "seconds": self.seconds,
            "history": self.history,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state(state, self.folder / STATE)

    def resume(self) -> bool:
        """Continue what was saved in the folder, if anything was."""
        path = self.folder / STATE
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.training.device, weights_only=True)
        self.training.load(state["training"])
        self.images, self.seconds = state["images"], state["seconds"]
        self.history = state["history"]
        return True

    def show(self) -> Drawing:
        """Store the averages, with a mapping fitted to them, and draw what one looks at."""
        drawing = fitted(self.training)
        results = self.folder / RESULTS
        networks = self.training.networks
        kept = {**dict(drawing), "heads": networks.heads, "projector": networks.projector}
        for name, network in kept.items():
            store(results, name, network.state_dict())
        sample_sheet(drawing, self.training.pictures.images, results / "sheet.jpg")
        (results / "log.json").write_text(json.dumps(self.history, indent=0), encoding="utf-8")
        if PLOTS:
            draw_curves(self.history, results / "curves.png")
        return drawing


def run(run: Run, limits: Limits, say: Callable[[str], None]) -> None:
    """Train until a limit; a run that is stopped on the way goes on from its last checkpoint."""
    reported = saved = time.monotonic()
    before = run.images
    while run.progress(limits) < 1:
        run.advance(limits)
        now = time.monotonic()
        over = run.progress(limits) >= 1
        if over or now - reported > limits.report:
            figures = {
                "kimg": run.images / 1000,
                "per_second": (run.images - before) / (now - reported),
                **run.training.figures(),
            }
            run.history.append(figures)
            say("  ".join(f"{name} {value:.4g}" for name, value in figures.items()))
            if not all(torch.tensor(list(figures.values())).isfinite()):
                raise FloatingPointError("a loss is not finite; go on with a smaller rate")
            reported, before = now, run.images
        if over or now - saved > limits.save:
            run.save()
            run.show()
            saved = time.monotonic()


def fitted(training: Training) -> Drawing:
    """Return copies of the averages, whose mapping draws w as the encoder now places faces."""
    drawing = copy.deepcopy(training.networks.average)
    latents = encode_all(drawing.encoder, training.pictures.small).cpu()
    for _, network in drawing:
        network.cpu()
    fit_mapping(drawing.generator, drawing.encoder, latents, drawing.delta)
    for _, network in drawing:
        network.to(training.device)
    return drawing


@torch.no_grad()
def sample_sheet(drawing: Drawing, images: Tensor, path: Path) -> None:
    """Write samples at psi 0.7 and psi 1, then photos above themselves rebuilt in W and in W+.

    images uint8 [N, 3, S, S].
    """
    generator = drawing.generator
    device = generator.mapping.w_avg.device
    chosen = images[:: max(1, len(images) // COLUMNS)][:COLUMNS].to(device).float() / 127.5 - 1
    factor = chosen.shape[-1] // generator.resolution
    photos = F.avg_pool2d(chosen, factor) if factor > 1 else chosen
    rows = [sample(generator, 2 * COLUMNS, psi, seed=0) for psi in (0.7, 1.0)]
    rows.append(photos.cpu())
    for ws in (to_ws(drawing.encoder(photos), generator.num_ws), drawing.ws(photos)):
        rows.append(generator.synthesis(ws).cpu())
    sheet(torch.cat(rows), COLUMNS).save(path, quality=88, optimize=True)


def draw_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write one panel for each figure of a run's history, over thousands of pictures."""
    names = [name for name in dict.fromkeys(n for line in history for n in line) if name != "kimg"]
    panels = {name: {"": [(line["kimg"], line[name]) for line in history]} for name in names}
    lines(path, panels, x_label="thousand pictures", y_label="", columns=3)
