"""Which file of a tuned generator shows which photo: it may have been tuned for several."""

from __future__ import annotations

from pipeline.disk.artifact import Artifact, ArtifactCorrupt


def tuned_picture(tune: Artifact, invert: str) -> str:
    """Return the file of a tune artifact that shows the photo of an inversion's fingerprint."""
    for name, fingerprint in tune.request.inputs.items():
        if name.startswith("invert.") and fingerprint == invert:
            return f"tuned-{name.removeprefix('invert.')}.png"
    raise ArtifactCorrupt(tune.folder, "it was not tuned for this photo; run tune again")
