"""Many photos: a list of them, workers that edit them, and what became of each."""
