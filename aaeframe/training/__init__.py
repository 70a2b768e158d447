"""The training loop and everything it needs at each step; it knows no recipe by name."""
