"""Damped Gauss-Newton steps: where the handles go is linear in ws, nearly; so solve for it.

A step takes three things. How the content at each handle moves with ws: what a small change of
the features looks like as a shift of the patch, by least squares over the patch (Lucas and Kanade,
1981), which turns 2P vector-Jacobian products into the Jacobian of the handles' positions. The
smallest change of ws that takes the handles the wanted way (Levenberg, 1944; Marquardt, 1963), no
farther than a trust region. And tracking from where the handles should now be. A step after which
they are not nearer is taken back, and the next one is half as long.

DragGAN's motion supervision pulls a patch of 3 pixels by its gradient, and needs dozens of steps.
Here the patch is wider, so that more of what follows is the face and not the look of its skin; much
wider ones move all of it, and ask more of a tuned generator than it can draw.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from drag.config import DragConfig
from drag.sampling import (
    GRID_STEP,
    disk_offsets,
    sample,
    slopes,
    spread,
    square_offsets,
    to_feature_length,
)
from drag.scene import Scene, View
from drag.tracking import Moved, track_in_fields, unlikeness

LEAST_PATCH = 8.0
"""A patch shrinks to this radius where another handle is near: what is between them has to give.
In pixels of a 512 picture."""

PATCH_POSITIONS = 4
"""Positions of a patch along its radius; its weights fall to exp(-9/8) at the edge."""

STRIDE = 3.0
"""Longest way of a handle in a step, in pixels of a 512 picture."""

SHORTEST = 0.25
"""The least stride, as a part of the longest."""

ENOUGH = 0.99
"""A step counts when it leaves no more than this part of the handles' root mean square distance."""

MANY_POINTS = 16
WORTH = 0.3
"""Many handles contradict each other, and the last of their way is paid with a picture that is no
longer the face's: a step that brings them nearer by less than this part of what the first did, for
as much change of ws, is taken back, and is the last. (Measured with 32; 9 still arrive.)"""

DAMPING = 0.3
"""What is added to the diagonal of the normal equations, as a part of its mean."""

RIDGE = 1e-3
"""What is added to the diagonal of a patch's 2x2 matrix, as a part of its trace: along a straight
edge nothing tells how far a patch has moved, and the matrix is singular."""

TINY = 1e-12
"""What keeps both systems solvable where all features are the same: such a handle stays."""

DISTRUST = 0.1
"""What straying from the expected place costs in tracking: this part, a feature pixel, of how
unlike itself the patch is two feature pixels away. Skin looks alike everywhere."""

KEEP = 0.5
"""Scale of the mask term: lambda_mask times this weighs the kept features' mean square change, in
their variance, against the square length of the change of ws."""

ADAPTION = 0.5
"""Share of a patch's new look that its template takes on with every step: an opening mouth shows
what was not there before (the adaptive template of FreeDrag, Ling et al., 2023)."""

PROBES = 1
"""Random products a step that estimate how ws change what the mask keeps: each is a whole backward
pass, and four keep no more."""

REMEMBERED = 24
"""Probes kept; they age slowly."""


class GaussNewton:
    """realdrag's method, one step at a time."""

    def __init__(self, scene: Scene, config: DragConfig) -> None:
        self._scene = scene
        size, device = scene.size, scene.handles.device
        radius = scene.r1
        self._patch = patch_offsets(radius).to(device)
        own = _radii(scene.handles, radius, to_feature_length(LEAST_PATCH, size))
        self._weights = patch_weights(self._patch, own)
        self._search = square_offsets(scene.r2, GRID_STEP).to(device)
        self._patch_reach = radius + GRID_STEP
        self._reach = scene.r2 + 2 * GRID_STEP + radius
        self._longest = self._stride = max(
            to_feature_length(STRIDE * scene.coarser, size), GRID_STEP
        )
        self._handles = scene.handles
        first = scene.first_features
        self._template = sample(first, self._handles[:, None] + self._patch)
        self.unlike = unlikeness(first, self._template, self._patch, self._weights)
        around = square_offsets(2.0, 2.0).to(device)[1:]
        beside = sample(first, (self._handles[:, None] + around)[:, :, None] + self._patch)
        unlike = (beside - self._template[:, None]).abs().mean(dim=(1, 2, 3))
        self._distrust = DISTRUST * unlike
        self._moving = scene.start()
        places = self._handles.tolist()
        self.view = scene.render(self._moving, places, self._reach)
        far = float((scene.targets - scene.handles).square().sum(dim=1).mean().sqrt())
        self._last = Moved(far, places, [0.0] * len(places), self.view.ws)
        self._many = len(places) >= MANY_POINTS
        self._first_worth = 0.0
        self._lambda_mask = config.lambda_mask
        self._kept = _kept_share(scene)
        self._rows: Tensor | None = None
        self._aged = False
        self._probes: list[Tensor] = []
        self._rng = torch.Generator(device=scene.handles.device).manual_seed(0)

    def step(self) -> Moved:
        """Move ws so that the handles come nearer, and find them again.

        It waits for the device twice: for where to render, and at its end; with many handles once
        more.
        """
        scene = self._scene
        ways = scene.targets - self._handles
        length = ways.norm(dim=1, keepdim=True)
        wanted = ways * (self._stride / length.clamp_min(1e-9)).clamp(max=1.0)
        change, foretold = self._solve(wanted)
        candidate = self._moving + change
        expected = self._handles + foretold
        view = scene.render(candidate, expected.tolist(), self._reach)
        found = track_in_fields(
            view.fields,
            self._template,
            self._patch,
            self._weights,
            expected,
            self._search,
            scene.extent,
            self._distrust,
        )
        far = (scene.targets - found.handles).square().sum(dim=1).mean().sqrt()
        moved = Moved.read(far, found, view.ws)
        if not math.isfinite(moved.loss):
            return moved
        nearer = moved.loss <= max(ENOUGH * self._last.loss, scene.tolerance)
        spent = nearer and self._many and not self._is_worth(self._last.loss - moved.loss, change)
        if spent or not nearer:
            if self._aged:  # the Jacobian may be to blame
                self._rows, self._aged, spent = None, False, False
            elif not nearer:
                self._stride = max(self._stride / 2, SHORTEST * self._longest)
            return replace(self._last, loss=moved.loss, spent=spent)
        went = found.handles - self._handles
        self._last, self.view = moved, view
        self._moving, self._handles = candidate, found.handles
        self._stride = min(2 * self._stride, self._longest)
        self._adapt()
        if self._many and self._rows is not None:
            self._rows, self._aged = broyden(self._rows, change.flatten(), went.flatten()), True
        else:
            self._rows = None
        return moved

    def _is_worth(self, gain: float, change: Tensor) -> bool:
        """Tell whether handles that came nearer by gain did so for little enough change of ws."""
        worth = gain / float(change.norm().clamp_min(TINY))
        self._first_worth = self._first_worth or worth
        return worth >= WORTH * self._first_worth

    def _adapt(self) -> None:
        """Let the templates follow what the handles have come to look like."""
        for field in self.view.fields:
            own = field.handles
            places = (self._handles[own] - field.origin)[:, None] + self._patch
            now = sample(field.features, places)
            self._template[own] = self._template[own].lerp(now, ADAPTION)

    def _solve(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the change [1, k, w_dim] of the moving ws that takes the handles by wanted [P, 2].

        And what way they will go by it, [P, 2], as far as the features tell.
        """
        # After a step that was taken back ws are where they were, and so is the Jacobian.
        if self._rows is None:
            # What tells where the handles are lies in their patches, whatever else was rendered.
            near = self._scene.narrowed(self.view, self._last.places, self._patch_reach)
            cotangents = self._displacements(near)
            self._rows = near.products(2 * len(self._handles), cotangents).flatten(1)
        rows, goal = self._rows, wanted.flatten()
        if self._kept is None:
            change = _least_change(rows, goal, rows)
        else:
            change = self._least_change_beside(self._kept, rows, goal)
        return change.reshape(self._moving.shape), (rows @ change).reshape(wanted.shape)

    def _least_change_beside(self, share: Tensor, rows: Tensor, goal: Tensor) -> Tensor:
        """Solve as `_least_change` does, with a price on changing what the mask keeps."""
        weight = KEEP * self._lambda_mask
        drift = self._probe(share)
        kept = torch.stack(self._probes) * (weight / len(self._probes)) ** 0.5
        # (I + kept^T kept)^-1 by the Woodbury identity.
        products = _precise(kept @ kept.t())
        products.diagonal().add_(1.0)
        inner = torch.linalg.inv_ex(products).inverse.to(kept)

        def soften(x: Tensor) -> Tensor:
            y: Tensor = x - (x @ kept.t()) @ inner @ kept
            return y

        back = -weight * soften(drift[None])[0]
        return back + _least_change(rows, goal - rows @ back, soften(rows))

    def _displacements(self, view: View) -> list[tuple[Tensor, Tensor]]:
        """Return what the handles' x and y, 2P scalars, are in the features of each field.

        As `View.products` wants it.
        """
        cotangents = []
        for field in view.fields:
            features, own = field.features, field.handles
            places = (self._handles[own] - field.origin)[:, None] + self._patch
            slope = slopes(features, places)
            weighted = slope * self._weights[own, :, None]
            matrix = _precise(torch.einsum("inkc,jnkc->nij", weighted, slope))
            diagonal = matrix.diagonal(dim1=1, dim2=2)
            diagonal += RIDGE * diagonal.sum(dim=1, keepdim=True) + TINY
            inverse = torch.linalg.inv_ex(matrix).inverse.to(features)
            response = torch.einsum("nij,jnkc->nikc", inverse, weighted).flatten(0, 1)
            both = places.repeat_interleave(2, dim=0)
            rows = torch.stack([2 * own, 2 * own + 1], dim=1).flatten()
            cotangents.append((rows, spread(-response, both, *features.shape[2:])))
        return cotangents

    def _probe(self, share: Tensor) -> Tensor:
        """Probe how ws change the kept features; return the gradient [D] of their change so far."""
        (field,) = self.view.fields
        change = (field.features - self._scene.first_features) * share
        probes = [random_signs(share, self._rng) for _ in range(PROBES)]
        cotangents = torch.cat([change * share, *probes])
        rows = torch.arange(len(cotangents), device=share.device)
        drift, *found = self.view.products(len(rows), [(rows, cotangents)]).flatten(1).unbind()
        self._probes += found
        del self._probes[:-REMEMBERED]
        return drift


def broyden(rows: Tensor, change: Tensor, went: Tensor) -> Tensor:
    """Return the Jacobian nearest to rows [n, D] by which change [D] makes what it made, went [n].

    Broyden, 1965. A Jacobian of many handles takes as long as a dozen other steps, and one that is
    kept so finds the smaller changes: measured, benchmarks/IDEAS.md.
    """
    return rows + torch.outer(went - rows @ change, change) / change.square().sum().clamp_min(TINY)


def patch_offsets(radius: float) -> Tensor:
    """List the offsets xy [K, 2] of a patch of that radius, all in feature pixels."""
    return disk_offsets(radius, max(GRID_STEP, radius / PATCH_POSITIONS))


def patch_weights(offsets: Tensor, radii: Tensor) -> Tensor:
    """Return the weights [P, K] of offsets [K, 2] in patches with radii [P]; each row sums to 1."""
    near = offsets.square().sum(dim=1) / radii[:, None].square()
    weights = torch.exp(near * (-9 / 8))
    return weights / weights.sum(dim=1, keepdim=True)


def _radii(handles: Tensor, radius: float, least: float) -> Tensor:
    """Return each handle's patch radius [P]: no more than its distance to the next handle."""
    apart = torch.cdist(handles, handles)
    apart.fill_diagonal_(torch.inf)
    return apart.min(dim=1).values.clamp(min=min(least, radius), max=radius)


def _kept_share(scene: Scene) -> Tensor | None:
    """Return what makes a change of the features one of mean square, where a mask keeps them.

    [1, C, h, w], in units of each channel's own spread; None without a mask.
    """
    if scene.kept is None:
        return None
    first = scene.first_features
    scale = first.std(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    return scene.kept.sqrt() / (scale * (scene.kept.sum() * first.shape[1]).sqrt())


def random_signs(x: Tensor, rng: torch.Generator) -> Tensor:
    """Give each value of x [1, C, H, W] a random sign; rng is one of x's device.

    Each random byte gives eight channels theirs: drawing is what takes long.
    """
    channels = x.shape[1]
    shape = (-(-channels // 8), 1, *x.shape[2:])
    drawn = torch.randint(0, 256, shape, dtype=torch.uint8, device=x.device, generator=rng)
    bits = torch.arange(8, dtype=torch.uint8, device=x.device)[:, None, None]
    signs = 1 - 2 * (drawn >> bits & 1).to(torch.int8)
    return x * signs.flatten(0, 1)[:channels]


def _least_change(rows: Tensor, goal: Tensor, softened: Tensor) -> Tensor:
    """Return the shortest x [D] with rows [n, D] @ x near goal [n], by damped least squares.

    softened is rows times the inverse of the metric that measures x.
    """
    normal = _precise(rows @ softened.t())
    normal.diagonal().add_(DAMPING * normal.diagonal().mean() + TINY)
    solved = torch.linalg.solve_ex(normal, goal.to(normal)).result
    x: Tensor = solved.to(rows) @ softened
    return x


def _precise(x: Tensor) -> Tensor:
    """Return x in float64; on the CPU if its device has no such numbers."""
    return x.cpu().double() if x.device.type == "mps" else x.double()
