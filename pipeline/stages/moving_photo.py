"""The photo's side of a drag: which points the network is asked for, and how the photo moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from drag.masks import may_change
from drag.points import DragPoint, inside
from drag.session import DragStep
from inversion.faces.alignment import whole
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import EYES, face_width, mouth_opening
from pipeline.picture.brows import pulls_at_brows
from pipeline.picture.brush import GRID, plain_motion
from pipeline.picture.composite import paste_back
from pipeline.picture.face_area import on_face
from pipeline.picture.face_motion import face_motion, quick_motion
from pipeline.picture.fresh_mouth import FreshMouth
from pipeline.picture.gaze import Gaze
from pipeline.picture.head_turn import (
    HeadTurn,
    pulls_the_head,
    pulls_the_nose,
    turn_of_points,
    turn_seen,
)
from pipeline.picture.inner_mouth import InnerMouth
from pipeline.picture.jaw import shapes_the_jaw
from pipeline.picture.lids import Lids, find_lids, shut_eye
from pipeline.picture.motion import Motion
from pipeline.picture.mouth import (
    CLOSED,
    MOUTH,
    Faces,
    lips_as_far_apart,
    lips_that_open,
    lips_that_part,
    nose_beside_lips,
    pulls_lips,
)
from pipeline.picture.openings import Pulls, pulls_at_openings
from pipeline.picture.outlines import distance_to, filled_hull
from pipeline.stages.artifact_files import read_pixels
from pipeline.stages.moved import Moved, read_moved
from pipeline.stages.work import Work
from stylegan2.arrays import BoolImage, Float32Array, Float64Array, UInt8Image

XY = tuple[float, float]
BothLids = tuple[Lids | None, Lids | None]

ON_SHUT_EYE = 0.05
"""A handle this near to the line of a shut eye, by the face's width, is on it."""

NEAR_EYE = 0.08
"""A handle this near to an eye's landmarks, by the face's width, may be on its lids."""

FRAMES = 16
"""Of the animation of a photo that moves."""


@dataclass(frozen=True)
class MovingPhoto:
    """An aligned photo, uint8 [H, W, 3], and what is to move in it.

    points are in pixels of it; followed are the indices of those that the network is asked for:
    hair and background it does not know, and what lies there moves alone. near are those that
    move only what is near, after all others; edges are those of them that pull a lid, or shut
    lips, and brows those that raise or lower a brow: the rest of it goes along. starts is where
    the content at each handle is in the photo by now, first what moved it there (None: nothing
    yet). face has the 68 points of the photo's face (None: it is none); fresh says whether the
    network may draw what the photo does not have. directed says that the network's face moves
    as directions of its own say, too. gaze is where the eyes are to look, before anything else
    moves. lids are those of both eyes that points pull, where they are seen and free to move; shut
    are the points on eyes that an earlier drag shut, and cut the eyes whose lids are pulled but
    which a mask keeps in part.
    """

    aligned: UInt8Image
    points: Sequence[DragPoint]
    followed: tuple[int, ...]
    movable: BoolImage | None
    starts: Sequence[XY]
    first: Moved | None
    face: Float32Array | None
    fresh: bool
    near: tuple[int, ...] = ()
    edges: tuple[int, ...] = ()
    brows: tuple[int, ...] = ()
    directed: bool = False
    gaze: Gaze | None = None
    lids: BothLids = (None, None)
    shut: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()

    @classmethod
    def read(cls, work: Work, points: Sequence[DragPoint], movable: Tensor | None) -> MovingPhoto:
        """Read a drag's photo, and decide which points the network is asked for."""
        aligned = read_pixels(work.inputs["align"], "aligned.png")
        asked = work.request.config["moves"]
        follow = work.request.config.get("follow", ["network"] * len(points))
        if asked == "network":  # its pixels show nothing that it was not asked for
            follow = ["network"] * len(points)
        everything = tuple(i for i, how in enumerate(follow) if how == "network")
        near = tuple(i for i, how in enumerate(follow) if how == "near")
        face = None
        if work.inputs["align"].request.config["align"] != "none":
            face = load_landmarker().landmarks68(aligned)
        if asked != "network" and face is not None:
            everything = tuple(i for i in everything if on_face(face, points[i].handle))
        starts = [point.handle for point in points]
        first = None
        if "from" in work.inputs:
            # A handle that rests where an earlier drag's was in the end is, in the photo, where
            # that went.
            earlier = work.inputs["from"].info
            ends = zip(earlier["handles"], earlier["went"], strict=True)
            known = {tuple(handle): (x, y) for handle, (x, y) in ends}
            starts = [known.get(handle, handle) for handle in starts]
            first = read_moved(work.inputs["from"])
        mask = None if movable is None else movable.cpu().numpy()
        fresh = asked == "auto"
        directed = "directions" in work.request.config
        gaze = work.request.config.get("gaze")
        photo = cls(
            aligned, points, everything, mask, starts, first, face, fresh, near,
            directed=directed, gaze=None if gaze is None else Gaze.from_json(gaze),
        )  # fmt: skip
        return photo if asked == "network" else photo.with_own_ways()

    def with_own_ways(self) -> MovingPhoto:
        """Return the same with lids, brows, lips that shut and jaws that move by themselves.

        No generator is asked for lids: it knows no wink; nor for brows: it opens the eyes; nor for
        another jaw: that is another face. It is asked for lips, for what goes along.
        """
        if self.face is None:
            return self
        ways, face = self._ways(self.targets), self._face_now
        if shapes_the_jaw(face, [ways[i] for i in self.followed]):
            return replace(self, followed=())
        shut = self._on_shut_eyes(ways, face)
        found = [self._lids(number, ways, face) for number in (0, 1)]
        left, right = (
            each if each and self._may_change(self._now(each).around) else None for each in found
        )
        pulls = self._pulls(ways, (left, right))
        edges = tuple(i for i in pulls.lids + pulls.lips if i in self.followed and i not in shut)
        brows = () if pulls.lids else pulls_at_brows(face, ways).brows
        brows = tuple(i for i in brows if i in self.followed)
        alone = {*pulls.lids, *brows, *shut}
        return replace(
            self,
            followed=tuple(i for i in self.followed if i not in alone),
            near=tuple(i for i in self.near if i not in shut) + edges + brows,
            edges=edges,
            brows=brows,
            lids=(left, right) if edges else self.lids,
            shut=shut,
            cut=tuple(i for i in pulls.eyes if found[i] and not (left, right)[i]),
        )

    def _pulls(self, ways: Sequence[DragPoint], lids: BothLids) -> Pulls:
        """Return what pulls lids and lips; lids are those of both eyes in the photo."""
        left, right = (each and self._now(each) for each in lids)
        return pulls_at_openings(self._face_now, ways, (left, right))

    def _on_shut_eyes(self, ways: Sequence[DragPoint], face: Float64Array) -> tuple[int, ...]:
        """Return the points on eyes that an earlier drag shut: they stay shut."""
        lines = [] if self.first is None else [eye.line for eye in self.first.shut_eyes]
        near = ON_SHUT_EYE * face_width(face)
        return tuple(
            i
            for i, way in enumerate(ways)
            if any(distance_to(line, way.handle) <= near for line in lines)
        )

    def _lids(self, number: int, ways: Sequence[DragPoint], face: Float64Array) -> Lids | None:
        """Find the lids of an eye if a point may pull them; an earlier drag's shut eye has none."""
        if self.first is not None and number in {each.number for each in self.first.shut_eyes}:
            return None
        eye, near = list(EYES[number]), NEAR_EYE * face_width(face)
        moving = (ways[i].handle for i in self.followed if ways[i].handle != ways[i].target)
        if not any(distance_to(face[eye], handle) <= near for handle in moving):
            return None
        return find_lids(self.aligned, np.asarray(self.face, np.float64)[eye])

    def _now(self, lids: Lids) -> Lids:
        """Return lids where an earlier drag left them."""
        return lids if self.first is None else lids.moved(self.first.motion, self.size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the aligned photo, and of the network's pictures."""
        height, width = self.aligned.shape[:2]
        return height, width

    @property
    def shown_by_network(self) -> bool:
        """Whether the network was asked for all that moves, so that its picture shows it all."""
        moving = {i for i, point in enumerate(self.points) if point.handle != point.target}
        if self.gaze is not None:
            return False
        return moving <= set(self.followed) and bool(moving or self.directed)

    @property
    def held(self) -> list[bool]:
        """Which points the mask holds where they are."""
        if self.movable is None:
            return [False] * len(self.points)
        movable = torch.from_numpy(self.movable)
        return [not may_change(point.handle, movable) for point in self.points]

    @property
    def ends(self) -> list[XY]:
        """Where the points come to in the photo: what the mask holds stays."""
        pairs = zip(self.points, self.held, strict=True)
        return [point.handle if held else point.target for point, held in pairs]

    @property
    def targets(self) -> list[XY]:
        """Where the points are to go."""
        return [point.target for point in self.points]

    @property
    def for_network(self) -> list[DragPoint]:
        """The points that the network is asked for; their targets in its picture."""
        return [
            DragPoint(self.points[i].handle, inside(self.points[i].target, self.size))
            for i in self.followed
        ]

    def places(self, step: DragStep, steps: int) -> list[XY]:
        """Say where all handles are at a step of so many: those alone go along evenly."""
        share = min(step.step / steps, 1.0) if steps else 1.0
        places = []
        for point in self.points:
            (hx, hy), (tx, ty) = point.handle, point.target
            places.append((hx + share * (tx - hx), hy + share * (ty - hy)))
        for i, place in zip(self.followed, step.handles, strict=True):
            places[i] = place
        return places

    def on_the_way(self, ends: Sequence[XY], share: float) -> list[XY]:
        """Say where the points are after that share of their ways to ends."""
        if share == 1:
            return list(ends)
        pairs = zip(self.starts, ends, strict=True)
        return [(a + share * (c - a), b + share * (d - b)) for (a, b), (c, d) in pairs]

    def moved(
        self, before: UInt8Image, after: UInt8Image, ends: Sequence[XY], share: float = 1.0
    ) -> Moved:
        """Move the points to ends, as the network's face did between two pictures.

        share is how much of its way the gaze goes.
        """
        asked, alone, near, pulls = self._moves(ends)
        beside = pulls.beside
        turn = self._turn(before, after, asked)
        mouth: FreshMouth | InnerMouth | None = None
        if turn is not None:
            motion = turn.motion(self.size, [*asked, *alone], self.movable, near, beside)
        elif self.followed or self.directed:
            told = [way for i, way in enumerate(self._ways(ends)) if i in self.followed]
            lips, mouth, nose = self._lips(before, after, told)
            motion = face_motion(
                before, after, asked, self.movable, alone, lips, near, nose, beside
            )
            if mouth is not None:
                lips_before = np.array([point.handle for point in lips])
                mouth = replace(mouth, ends=motion.goes(lips_before, self.size))
        else:
            motion = plain_motion(alone, self.size, self.movable, near, beside)
        if mouth is None:
            mouth = self._inner_mouth(motion, self._ways(ends))
        eyes = [
            shut_eye(number, lids, self._now(lids), raised, motion, self.size)
            for number, raised in pulls.shut
            if (lids := self.lids[number]) is not None
        ]
        motion = self._after_gaze(motion, share)
        if self.first is None:
            return Moved(motion, mouth, tuple(eyes))
        kept = self.first.mouth_after(motion) if mouth is None else mouth
        eyes += self.first.eyes_after(motion)
        return Moved(motion.after(self.first.motion), kept, tuple(eyes))

    def quick_motion(self, before: UInt8Image, after: UInt8Image, ends: Sequence[XY]) -> Motion:
        """Return nearly the same motion in a few milliseconds, for who watches."""
        asked, alone, near, pulls = self._moves(ends)
        beside = pulls.beside
        turn = self._turn(before, after, asked)
        if turn is None:
            motion = quick_motion(before, after, asked, alone, near, beside, self.movable)
        else:
            coarse = [*asked, *alone]
            motion = turn.motion(self.size, coarse, self.movable, near, beside, GRID)
        motion = self._after_gaze(motion)
        return motion if self.first is None else motion.after(self.first.motion.on(len(motion.way)))

    def _turn(
        self, before: UInt8Image, after: UInt8Image, asked: Sequence[DragPoint]
    ) -> HeadTurn | None:
        """Return how the head turns, where that is what the points ask for.

        Points of the nose and others can ask for nothing else; where it is the nose alone, the
        network decides.
        """
        if self.face is None or self.edges or self.brows or not asked or not self._head_may_move:
            return None
        face = self._face_now
        if not pulls_the_nose(face, asked):
            return None
        turn = turn_of_points(face, asked)
        if turn is None or pulls_the_head(face, asked):
            return turn
        find = load_landmarker().landmarks68
        return None if turn_seen(find(before), find(after)) is None else turn

    @property
    def _head_may_move(self) -> bool:
        """Whether no part of the face is held by the mask."""
        if self.face is None or self.movable is None:
            return True
        movable = torch.from_numpy(self.movable)
        return all(may_change(inside((x, y), self.size), movable) for x, y in self.face.tolist())

    def _after_gaze(self, motion: Motion, share: float = 1.0) -> Motion:
        if self.gaze is None:
            return motion
        return motion.after(self.gaze.motion(self.size, share, len(motion.way), self.movable))

    def _moves(
        self, ends: Sequence[XY]
    ) -> tuple[list[DragPoint], list[DragPoint], list[DragPoint], Pulls]:
        """Return the ways to ends: as the network says, around the points, only near them.

        And what goes along with lids, lips and brows. A control says itself where lids go.
        """
        asked: list[DragPoint] = []
        alone: list[DragPoint] = []
        near: list[DragPoint] = []
        ways = self._ways(ends)
        pulls = Pulls()
        if self.edges:
            pulls = self._pulls(ways, self.lids)
        if self.brows:
            along = pulls_at_brows(self._face_now, ways).beside
            pulls = replace(pulls, beside=pulls.beside + along)
        for i, way in enumerate(ways):
            if i in pulls.met or i in self.shut:
                continue
            kind = near if i in self.near else asked if i in self.followed else alone
            kind.append(way)
        return asked, alone, [*near, *pulls.along], pulls

    def _ways(self, ends: Sequence[XY]) -> list[DragPoint]:
        pairs = zip(self.starts, ends, strict=True)
        return [DragPoint(start, end) for start, end in pairs]

    @property
    def _face_now(self) -> Float64Array:
        """The 68 points where an earlier drag left them."""
        face = np.asarray(self.face, np.float64)
        return face if self.first is None else self.first.motion.goes(face, self.size)

    def _lips(
        self, before: UInt8Image, after: UInt8Image, points: Sequence[DragPoint]
    ) -> tuple[list[DragPoint], FreshMouth | None, list[DragPoint]]:
        """Return where lips go, what is new between them, and where the nose goes."""
        # In a photo that moved already the points are elsewhere.
        if self.face is None or self.first is not None:
            return [], None, []
        find = load_landmarker().landmarks68
        faces = Faces(self.face, find(before), find(after))
        nose = nose_beside_lips(faces, points)
        opening = lips_that_open(faces, points) if self.fresh else []
        if opening and self._may_change(_targets(opening)):
            return opening, None, nose
        parting = lips_that_part(faces, points, freely=self.directed) if self.fresh else []
        if not parting or not self._may_change(_targets(parting)):
            held = [] if self.directed else lips_as_far_apart(faces, points)
            return held, None, nose
        ends = np.array([point.target for point in parting])
        drawn = np.asarray(faces.after, np.float64)[list(MOUTH)]
        return parting, FreshMouth(after, drawn, ends), nose

    def _inner_mouth(self, motion: Motion, ways: Sequence[DragPoint]) -> InnerMouth | None:
        """Return the inside of an open mouth that points open further, or shut.

        Its teeth are those of the photo, whatever moved it before.
        """
        if self.face is None or not self.fresh or mouth_opening(self.face) <= CLOSED:
            return None
        face = self._face_now
        if not pulls_lips(face, ways):
            return None
        starts = np.asarray(self.face, np.float64)[list(MOUTH)]
        ends = motion.goes(face[list(MOUTH)], self.size)
        free = self._may_change(ends)
        return InnerMouth(self.size, starts, ends) if free else None

    def _may_change(self, places: Float64Array) -> bool:
        """Say whether the mask lets all change that lies between places [P, 2]."""
        if self.movable is None:
            return True
        return bool(self.movable[filled_hull(self.size, places, 1)].all())

    def shown(self, moved: Moved) -> UInt8Image:
        """Return the aligned photo, moved."""
        return moved.of(self.aligned, self._quad)

    def pasted(self, before: UInt8Image, after: UInt8Image) -> UInt8Image:
        """Return the aligned photo with what changed in the network's picture."""
        return paste_back(self.aligned, self._quad, before, after)

    @property
    def _quad(self) -> Float64Array:
        return whole(self.size)

    def film(self, moved: Moved) -> list[UInt8Image]:
        """Show the photo on its way, in even steps from the beginning to the end."""
        shares = np.linspace(0, 1, FRAMES, dtype=np.float32)
        return [self.shown(moved.part(float(share))) for share in shares]


def _targets(points: Sequence[DragPoint]) -> Float64Array:
    return np.array([point.target for point in points], np.float64)
