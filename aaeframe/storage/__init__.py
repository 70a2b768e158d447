"""Files on disk: atomic writes, locks, run folders, checkpoints, metrics."""
