"""Named controls of a face: what can be asked by name, and which points that is."""
