"""When a drag is over, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

MIN_PROGRESS = 0.5
"""Getting closer by less than this is no progress: pixels of a 512 picture, mean of the points."""

LOST_MISMATCH = 1.0
"""A handle is lost when what was found is as unlike its start as the picture's typical pixel is,
times this. (DragGAN has no such test.)"""


def tolerance_of(num_points: int) -> float:
    """Return how close a handle must come, in pixels of a 512 picture (DragGAN, section 3.1)."""
    return 1.0 if num_points <= 5 else 2.0


class StopReason(str, Enum):
    """Why a drag ended."""

    ARRIVED = "arrived"
    STEP_LIMIT = "step_limit"
    NO_PROGRESS = "no_progress"
    LOST_TRACK = "lost_track"
    CANCELLED = "cancelled"

    @property
    def words(self) -> str:
        """What to tell a person, the same on a console and on the page."""
        return WORDS[self]


WORDS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.ARRIVED: "All points have arrived.",
        StopReason.STEP_LIMIT: "Stopped at the step limit. Go on from here, or allow more steps.",
        StopReason.NO_PROGRESS: "Stopped: the points no longer came closer. The nearest picture "
        "is kept.",
        StopReason.LOST_TRACK: "Stopped: a point lost what it was holding. The last good picture "
        "is kept; try a nearer target.",
        StopReason.CANCELLED: "You stopped it. The picture is kept as it was.",
    }
)


class StopRule:
    """Watches a drag's distances, in any one unit, and names the reason to end it.

    best_step is the step after which the handles were closest to their targets on average,
    not counting steps that lost one.
    """

    def __init__(
        self,
        distances: Sequence[float],
        *,
        tolerance: float,
        min_progress: float,
        max_steps: int,
        patience: int,
    ) -> None:
        self.best_step = 0
        self._tolerance = tolerance
        self._max_steps = max_steps
        self._patience = patience
        self._min_progress = min_progress
        self._best = self._reference = _mean(distances)
        self._reference_step = 0

    def check(self, step: int, distances: Sequence[float], lost: bool) -> StopReason | None:
        """Take in the state after a step; return the reason to stop, None to go on.

        No progress means that the mean distance has not fallen by min_progress below where it
        last did, for `patience` steps.
        """
        mean = _mean(distances)
        if not lost and mean < self._best:
            self._best, self.best_step = mean, step
        if mean <= self._reference - self._min_progress:
            self._reference, self._reference_step = mean, step
        if lost:
            return StopReason.LOST_TRACK
        if max(distances) <= self._tolerance:
            return StopReason.ARRIVED
        if step >= self._max_steps:
            return StopReason.STEP_LIMIT
        if step - self._reference_step >= self._patience:
            return StopReason.NO_PROGRESS
        return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
