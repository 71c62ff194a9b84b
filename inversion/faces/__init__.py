"""From a photo to aligned faces: finding them, their landmarks, the crop."""
