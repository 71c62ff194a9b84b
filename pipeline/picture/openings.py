"""What lids and lips do when one is pulled over its eye or against the other: they move alone.

A generator that is asked to shut one eye lowers the brow, or both lids together; asked to shut a
mouth, it raises the head. So lids, and lips that shut, move as a soft brush moves them, as a whole
from corner to corner, while everything around the opening is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import (
    BROW_LEFT,
    BROW_RIGHT,
    INNER_LIPS,
    NOSTRILS,
    Points,
    axes_between,
    face_width,
)
from pipeline.picture.lids import LEAST_RAISED, MOST_RAISED, RAISED, Lids
from pipeline.picture.outlines import distance_to
from stylegan2.arrays import Float64Array

ON_EDGE = 0.03
"""A handle this near to the line of a lid or lip, by the face's width, is on it."""

SHUTTING, OPENING = 0.25, 0.04
"""No lid or lip is pulled farther than this, by the face's width: who pulls more means more."""

OPEN = 0.03
"""Lips less than this apart, by the face's width, have nothing to shut."""

SHUT = 0.1
"""What is left of an opening that is shut; a lid that goes farther takes the other one along."""

SHUTS = 0.7
"""Lids that are brought nearer by that share of their opening or more shut the eye."""

THERE = 0.025
"""A point this near to a place, by the face's width, says where it goes: landmarks are a guess."""

AT_CORNER = 0.015
"""A handle this near to a corner, by the face's width, pulls that."""

BELOW_BROW = 0.3
"""Skin is held this far from a brow to the eye: a lid's own fold moves, what is above does not."""


@dataclass(frozen=True)
class _Opening:
    """Landmarks of an eye or a mouth.

    corners: its ends. pairs: of upper and lower edge, one above the other. outer: what goes along
    with an edge, by the edge's landmark. held: what stays. brow: stays too, with the skin below it.
    """

    corners: tuple[int, int]
    pairs: tuple[tuple[int, int], ...]
    outer: tuple[tuple[int, int], ...] = ()
    held: tuple[int, ...] = ()
    brow: tuple[int, ...] = ()


_EYES = (
    _Opening((36, 39), ((37, 41), (38, 40)), brow=BROW_LEFT),
    _Opening((42, 45), ((43, 47), (44, 46)), brow=BROW_RIGHT),
)
_MOUTH = _Opening(
    (60, 64),
    INNER_LIPS,
    (
        *((61, 49), (61, 50), (62, 51), (63, 52), (63, 53)),
        *((67, 59), (67, 58), (66, 57), (65, 56), (65, 55)),
    ),
    NOSTRILS,
)


@dataclass(frozen=True)
class Pulls:
    """Which points pull lids, and which shut a mouth (their indices), and what goes along.

    In pixels of the crop. along: more points, of lips. beside: points whose ways are added to what
    else moves them; lids stay where they are on a head that moves. shut: the eyes that shut (0 the
    left one of the picture, 1 the right one), and the share of their opening by which the lower lid
    goes up. eyes: those whose lids are pulled. met: which
    of the lids' points are answered by that, and not exactly.
    """

    lids: tuple[int, ...] = ()
    lips: tuple[int, ...] = ()
    along: tuple[DragPoint, ...] = ()
    beside: tuple[DragPoint, ...] = ()
    shut: tuple[tuple[int, float], ...] = ()
    eyes: tuple[int, ...] = ()
    met: tuple[int, ...] = ()


def pulls_at_openings(
    face: Points,
    points: Sequence[DragPoint],
    lids: tuple[Lids | None, Lids | None] = (None, None),
) -> Pulls:
    """Find the points that pull lids or shut lips of a face, [68, 2] in pixels of the crop.

    lids are those of both eyes where they are seen: these say where an edge is, and only such an
    eye shuts altogether.
    """
    marks = np.asarray(face, np.float64)
    found: dict[_Opening, tuple[list[int], list[int]]] = {}
    for opening, seen in zip((*_EYES, _MOUTH), (*lids, None), strict=True):
        of_edges = tuple(
            [i for i, point in enumerate(points) if _pulls(marks, opening, edge, point, seen)]
            for edge in (0, 1)
        )
        if any(of_edges) and (opening is not _MOUTH or _shuts(marks, points, of_edges)):
            found[opening] = of_edges[0], of_edges[1]
    along: list[DragPoint] = []
    beside: list[DragPoint] = []
    shutting: list[DragPoint] = []
    shut: list[tuple[int, float]] = []
    for opening, of_edges in found.items():
        upper, lower = ([points[i] for i in own] for own in of_edges)
        seen = None if opening is _MOUTH else lids[_EYES.index(opening)]
        raised = None if seen is None else _raised(marks, opening, upper, lower, points, seen)
        if seen is not None and raised is not None:
            shutting += seen.shutting(raised)
            shut.append((_EYES.index(opening), raised))
        else:
            edges = _edges(marks, opening, upper, lower)
            (along if opening is _MOUTH else beside).extend(edges)
        beside += [_going(place, np.zeros(2)) for place in _held(marks, opening)]
    of_eyes = [sorted(i for own in found.get(eye, ()) for i in own) for eye in _EYES]
    lips = sorted(i for own in found.get(_MOUTH, ()) for i in own)
    met = tuple(i for number, _ in shut for i in of_eyes[number])
    eyes = tuple(number for number, own in enumerate(of_eyes) if own)
    others = [point for i, point in enumerate(points) if i not in met]
    free = partial(_free, others, THERE * face_width(marks))
    return Pulls(
        tuple(sorted(sum(of_eyes, []))), tuple(lips), free(along), free(beside) + tuple(shutting),
        tuple(shut), eyes, met,
    )  # fmt: skip


def _raised(
    marks: Float64Array,
    eye: _Opening,
    upper: Sequence[DragPoint],
    lower: Sequence[DragPoint],
    points: Sequence[DragPoint],
    seen: Lids,
) -> float | None:
    """Return by which share of its opening an eye that shuts does so from below; else None."""
    _, down = _axes(marks, eye)
    openings, from_above, from_below = (
        sum(each)
        for each in zip(
            *(
                (
                    max(float((marks[below] - marks[above]) @ down), 0.0),
                    _way(marks, eye, above, upper),
                    -_way(marks, eye, below, lower),
                )
                for above, below in eye.pairs
            ),
            strict=True,
        )
    )
    if from_above + from_below < SHUTS * openings:
        return None
    if any(
        point.handle == point.target and _on_edge(marks, eye, 1, point, seen) for point in points
    ):
        return 0.0
    share = from_below / (from_above + from_below)
    return min(max(share, LEAST_RAISED), MOST_RAISED) if lower else RAISED


def _free(
    points: Sequence[DragPoint], near: float, more: Sequence[DragPoint]
) -> tuple[DragPoint, ...]:
    """Return those of more points that are not near one of the points."""
    handles = np.array([point.handle for point in points], np.float64).reshape(-1, 2)
    return tuple(
        each for each in more if np.hypot(*(handles - each.handle).T).min(initial=np.inf) > near
    )


def _pulls(
    marks: Float64Array, opening: _Opening, edge: int, point: DragPoint, seen: Lids | None
) -> bool:
    """Say whether a point lies on an upper (0) or lower edge (1), and pulls it up or down."""
    width = face_width(marks)
    along, down = _axes(marks, opening)
    way = np.subtract(point.target, point.handle)
    shutting = (way @ down > 0) == (edge == 0)
    farthest = (SHUTTING if shutting else OPENING) * width
    if not 0 < np.hypot(*way) <= farthest or abs(way @ down) < abs(way @ along):
        return False
    return _on_edge(marks, opening, edge, point, seen)


def _on_edge(
    marks: Float64Array, opening: _Opening, edge: int, point: DragPoint, seen: Lids | None
) -> bool:
    """Say whether a point lies on an upper (0) or lower edge (1), and not at its corners."""
    width = face_width(marks)
    corners = marks[list(opening.corners)]
    at_corner = np.hypot(*(corners - point.handle).T).min() < AT_CORNER * width
    distances = [_distance(marks, opening, each, point.handle, seen) for each in (0, 1)]
    nearer = distances[edge] <= distances[1 - edge]
    return bool(distances[edge] <= ON_EDGE * width and nearer and not at_corner)


def _shuts(
    marks: Float64Array, points: Sequence[DragPoint], of_edges: Sequence[Sequence[int]]
) -> bool:
    """Say whether points at an open mouth's edges bring them together."""
    _, down = _axes(marks, _MOUTH)
    gap = np.mean([(marks[lower] - marks[upper]) @ down for upper, lower in _MOUTH.pairs])
    upper, lower = (
        np.mean([np.subtract(points[i].target, points[i].handle) @ down for i in own] or [0.0])
        for own in of_edges
    )
    return bool(gap > OPEN * face_width(marks) and lower < upper)


def _edges(
    marks: Float64Array, opening: _Opening, upper: Sequence[DragPoint], lower: Sequence[DragPoint]
) -> Iterator[DragPoint]:
    """Yield where the landmarks of both edges go, and what goes along with them."""
    _, down = _axes(marks, opening)
    ways: dict[int, Float64Array] = {}
    for above, below in opening.pairs:
        down_above = _way(marks, opening, above, upper)
        up_below = -_way(marks, opening, below, lower)
        too_far = down_above + up_below - (1 - SHUT) * float((marks[below] - marks[above]) @ down)
        if too_far > 0 and not lower:
            up_below -= too_far
        elif too_far > 0 and not upper:
            down_above -= too_far
        ways |= {above: down_above * down, below: -up_below * down}
    for i, way in ways.items():
        yield _going(marks[i], way)
    for edge, along in opening.outer:
        yield _going(marks[along], ways[edge])
    if opening is _MOUTH:
        yield from (_going(marks[i], np.zeros(2)) for i in (*opening.corners, 48, 54))


def _way(marks: Float64Array, opening: _Opening, i: int, pulls: Sequence[DragPoint]) -> float:
    """Return how far down a landmark goes when points pull its edge: all of it goes along."""
    if not pulls:
        return 0.0
    _, down = _axes(marks, opening)
    heights = [
        float(np.subtract(pull.target, pull.handle) @ down) / _reach(marks, opening, pull.handle)
        for pull in pulls
    ]
    # Where one pulls here and one there, each has the more to say the nearer it is.
    say = 1 / (np.array([np.hypot(*(marks[i] - pull.handle)) for pull in pulls]) + 1e-3)
    return float(say @ heights / say.sum()) * _reach(marks, opening, marks[i])


def _held(marks: Float64Array, opening: _Opening) -> Iterator[Float64Array]:
    """Yield the places around an opening that stay when its edges move."""
    corners = () if opening is _MOUTH else opening.corners
    yield from (marks[i] for i in corners + opening.held + opening.brow)
    rim = marks[[*opening.corners, *(upper for upper, _ in opening.pairs)]]
    for brow in marks[list(opening.brow)]:
        below = rim[np.hypot(*(rim - brow).T).argmin()]
        yield brow + BELOW_BROW * (below - brow)


def _axes(marks: Float64Array, opening: _Opening) -> tuple[Float64Array, Float64Array]:
    """Return the directions along an opening, from corner to corner, and down across it."""
    along, down, _ = axes_between(*marks[list(opening.corners)])
    return along, down


def _reach(
    marks: Float64Array, opening: _Opening, place: Float64Array | tuple[float, float]
) -> float:
    """Return how far an edge goes at a place beside others: as far as it has to, to meet the other.

    A little more than the gap there, so that what is shut opens in an arc.
    """
    along, down = _axes(marks, opening)
    first, last = opening.corners
    pairs = np.array(opening.pairs)
    places = marks[[first, *pairs[:, 0], last]] @ along
    gaps = (marks[pairs[:, 1]] - marks[pairs[:, 0]]) @ down
    length = places[-1] - places[0]
    share = np.clip((place @ along - places[0]) / max(length, 1e-9), 0.06, 0.94)
    gap = np.interp(places[0] + share * length, places, [0.0, *gaps.clip(0), 0.0])
    return float(gap + SHUT * length * share * (1 - share))


def _distance(
    marks: Float64Array,
    opening: _Opening,
    edge: int,
    place: tuple[float, float],
    seen: Lids | None,
) -> float:
    """Return how far a place is from an edge, or from what goes along with it.

    The edge is by the landmarks, and, where an eye's lids are seen, there too.
    """
    first, last = opening.corners
    inner = [pair[edge] for pair in opening.pairs]
    outer = [along for mark, along in opening.outer if mark in inner]
    lines = [marks[[first, *inner, last]]]
    lines += [marks[outer]] if outer else []
    lines += [] if seen is None else [(seen.upper, seen.lower)[edge]]
    return min(distance_to(line, place) for line in lines)


def _going(place: Float64Array, way: Float64Array) -> DragPoint:
    return DragPoint.between(place, place + way)
