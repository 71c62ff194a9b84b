"""Fit the weights of pipeline/picture/plausibility.py to edits that were scored by eye.

    python -m tools.fit_plausibility

reads benchmarks/results/looks_scores.tsv and prints the weights, to be put into the module by
hand, and how well they rank edits of people who had no part in the fit: each person's edits are
judged by the weights fitted to everybody else's.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import spearmanr

from pipeline.picture.plausibility import FIGURES, TERMS, terms
from stylegan2.arrays import BoolImage, Float64Array

TABLE = Path(__file__).parent.parent / "benchmarks" / "results" / "looks_scores.tsv"
MOVED_ONLY = ("plain-warp", "flow-128", "flow-256", "ours")
"""Methods that move the photo's own pixels and paint none."""


@dataclass(frozen=True)
class Scored:
    """Edits with their scores: columns of the table, and terms [N, K] of the measures."""

    photos: tuple[str, ...]
    methods: tuple[str, ...]
    scores: Float64Array
    terms: Float64Array

    def by_method(self, methods: Sequence[str]) -> BoolImage:
        """Mark the edits that these methods made: [N]."""
        return np.array([method in methods for method in self.methods])


def read_scores(path: Path = TABLE) -> Scored:
    """Read the table of scores."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    figures = [{name: float(row[name]) for name in FIGURES} for row in rows]
    return Scored(
        tuple(row["photo"] for row in rows),
        tuple(row["method"] for row in rows),
        np.array([float(row["score"]) for row in rows]),
        np.array([terms(each) for each in figures]),
    )


def fit(scored_terms: Float64Array, scores: Float64Array) -> Float64Array:
    """Fit score = w0 - sum of w_k term_k, no w negative: worse measures never help."""
    design = np.concatenate([np.ones((len(scores), 1)), -scored_terms], axis=1)
    weights: Float64Array = nnls(design, scores)[0]
    return weights


def predict(weights: Float64Array, scored_terms: Float64Array) -> Float64Array:
    """Score edits, before the result is cut to 0 to 3."""
    predicted: Float64Array = weights[0] - scored_terms @ weights[1:]
    return predicted


def held_out(scored: Scored) -> Float64Array:
    """Score each person's edits by what was fitted to everybody else's."""
    photos = np.array(scored.photos)
    predicted = np.zeros(len(photos))
    for photo in set(scored.photos):
        own = photos == photo
        weights = fit(scored.terms[~own], scored.scores[~own])
        predicted[own] = predict(weights, scored.terms[own])
    return predicted


def rank_correlation(a: Float64Array, b: Float64Array) -> float:
    """Give Spearman's rank correlation."""
    return float(spearmanr(a, b).statistic)


def main() -> None:
    scored = read_scores()
    weights = fit(scored.terms, scored.scores)
    print("best", f"{weights[0]:.2f}")
    for name, weight in zip(TERMS, weights[1:], strict=True):
        print(name, f"{weight:.2f}")
    predicted = held_out(scored)
    print(f"{len(scored.scores)} edits of {len(set(scored.photos))} people, judged unseen:")
    moved = scored.by_method(MOVED_ONLY)
    for name, chosen in (("all", np.ones_like(moved)), ("pixels moved only", moved)):
        rank = rank_correlation(predicted[chosen], scored.scores[chosen])
        off = np.abs(np.clip(predicted, 0, 3) - scored.scores)[chosen].mean()
        print(f"{name}: rank correlation {rank:.2f}, off by {off:.2f}, {chosen.sum()} edits")
    for method in sorted(set(scored.methods)):
        chosen = scored.by_method((method,))
        eye, ruler = scored.scores[chosen].mean(), np.clip(predicted[chosen], 0, 3).mean()
        print(f"{method}: eye {eye:.2f}, ruler {ruler:.2f}, {chosen.sum()} edits")


if __name__ == "__main__":
    main()
