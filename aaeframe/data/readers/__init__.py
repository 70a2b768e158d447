"""One file format per module, from its bytes to arrays."""
