"""What is written to disk and read back: atomic files, locks, run folders, checkpoints, metrics."""
