"""When a drag is over, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType

MIN_PROGRESS = 0.5
"""Getting closer by less than this is no progress: pixels of a 512 picture, mean of the points
that have a way to go."""

LOST_MISMATCH = 1.0
"""A handle is lost when what was found is as unlike its start as the picture's typical pixel is,
times this. (DragGAN has no such test.)"""


def tolerance_of(num_points: int) -> float:
    """Return how close a handle must come, in pixels of a 512 picture (DragGAN, section 3.4)."""
    return 1.0 if num_points <= 5 else 2.0


class StopReason(str, Enum):
    """Why a drag ended.

    HELD: what may move has arrived, but the mask keeps the picture where the rest should come from
    or go to. AS_FAR: the photo would look broken farther on. TORN: it does.
    """

    ARRIVED = "arrived"
    HELD = "held"
    STEP_LIMIT = "step_limit"
    NO_PROGRESS = "no_progress"
    LOST_TRACK = "lost_track"
    CANCELLED = "cancelled"
    AS_FAR = "as_far"
    TORN = "torn"

    @property
    def words(self) -> str:
        """What to tell a person, the same on a console and on the page."""
        return WORDS[self]


WORDS: Mapping[StopReason, str] = MappingProxyType(
    {
        StopReason.ARRIVED: "All points have arrived.",
        StopReason.HELD: "The mask holds a point, and nothing else is left to move. Let its place "
        "change to move it, too.",
        StopReason.STEP_LIMIT: "Stopped at the step limit. Go on from here, or allow more steps.",
        StopReason.NO_PROGRESS: "Stopped: the points no longer came closer. The nearest picture "
        "is kept.",
        StopReason.LOST_TRACK: "Stopped: a point lost what it was holding. The last good picture "
        "is kept; try a nearer target.",
        StopReason.CANCELLED: "You stopped it. The picture is kept as it was.",
        StopReason.AS_FAR: "This is as far as the photo holds: farther, it would look broken.",
        StopReason.TORN: "The picture looks broken: this photo does not hold so far. Undo, or try "
        "nearer targets.",
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
        """Take the distances before the first step; a pin's is 0."""
        self.best_step = 0
        self._moving = max(sum(distance > tolerance for distance in distances), 1)
        self._tolerance = tolerance
        self._max_steps = max_steps
        self._patience = patience
        self._min_progress = min_progress
        self._best = self._reference = self._mean(distances)
        self._reference_step = 0

    def check(
        self, step: int, distances: Sequence[float], lost: bool, spent: bool = False
    ) -> StopReason | None:
        """Take in the state after a step; return the reason to stop, None to go on.

        No progress means that the mean distance has not fallen by min_progress below where it
        last did, for `patience` steps, or that the method itself says that it is spent.
        """
        mean = self._mean(distances)
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
        if spent or step - self._reference_step >= self._patience:
            return StopReason.NO_PROGRESS
        return None

    def _mean(self, distances: Sequence[float]) -> float:
        """Spread the sum over those that had a way to go: pins do not make progress look small."""
        return sum(distances) / self._moving
