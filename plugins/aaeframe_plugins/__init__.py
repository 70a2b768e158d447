"""First-party plugins. They use what a stranger may use, and come in by the same entry points."""
