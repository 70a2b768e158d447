"""First-party plugins. They use only what third-party plugins can use, and the same entry points."""
