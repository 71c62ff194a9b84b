"""DragGAN's step: motion supervision, Adam on ws, point tracking (arXiv 2305.10973, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from drag.config import DragConfig
from drag.methods import METHODS
from drag.motion import directions, mask_loss, motion_loss
from drag.sampling import GRID_STEP, disk_offsets, sample, square_offsets, to_feature_length
from drag.scene import MIN_LENGTH, Places, Scene
from drag.tracking import Moved, track_in_fields, unlikeness
from stylegan2.adam import Adam

PULL = 1.0
"""Length of d_i in pixels of a 512 picture: the paper's unit vector, at any network's size."""


class DragGan:
    """The paper's method, one step at a time.

    A handle within the tolerance rests: it is tracked but not pulled, until the others drag it
    away (DragGAN's released code does the same).
    """

    def __init__(self, scene: Scene, config: DragConfig) -> None:
        self._scene = scene
        self._lambda_mask = config.lambda_mask
        self._moving = scene.start()
        own = METHODS["draggan"].learning_rate
        rate = own if config.learning_rate is None else config.learning_rate
        assert rate is not None
        self._adam = Adam([self._moving], rate)
        size = scene.size
        self._pull = max(to_feature_length(PULL, size), MIN_LENGTH)
        device = scene.handles.device
        self._patch = disk_offsets(scene.r1, GRID_STEP).to(device)
        self._search = square_offsets(scene.r2, GRID_STEP).to(device)
        # How far from a handle features are read: its search, then its patch at the new place.
        self._reach = scene.r2 + GRID_STEP + scene.r1 + self._pull
        self._point = torch.zeros(1, 2, device=device)
        self._whole = torch.ones(len(scene.handles), 1, device=device)
        self._template = sample(scene.first_features, scene.handles)[:, None]
        self.unlike = unlikeness(scene.first_features, self._template, self._point, self._whole)
        self._handles = scene.handles
        self._places: Places = scene.handles.tolist()
        self.view = scene.render(self._moving, self._places, self._reach)

    def step(self) -> Moved:
        """Pull once, then find the handles. It waits for the device once, at its end."""
        loss, gradient = self._loss()
        self._adam.step([gradient])
        self.view = self._scene.render(self._moving, self._places, self._reach)
        found = track_in_fields(
            self.view.fields,
            self._template,
            self._point,
            self._whole,
            self._handles,
            self._search,
            self._scene.extent,
        )
        self._handles = found.handles
        moved = Moved.read(loss, found, self.view.ws)
        self._places = moved.places
        return moved

    def _loss(self) -> tuple[Tensor, Tensor]:
        """Return the loss, and its gradient by the moving ws."""
        scene = self._scene
        fields = self.view.fields
        read = [field.features.detach().requires_grad_() for field in fields]
        towards = directions(self._handles, scene.targets, self._pull, scene.tolerance)
        loss = towards.new_zeros([])
        with torch.enable_grad():
            for field, features in zip(fields, read, strict=True):
                own = field.handles
                places = self._handles[own] - field.origin
                loss = loss + motion_loss(features, places, towards[own], self._patch)
            if scene.kept is not None:
                kept = mask_loss(read[0], scene.first_features, scene.kept)
                loss = loss + self._lambda_mask * kept
            gradients = torch.autograd.grad(loss, read)
        first = self._handles.new_zeros(1, dtype=torch.long)
        return loss, self.view.products(1, [(first, gradient) for gradient in gradients])
