"""A run from the outside: start, resume, load, and the `Run` object."""
