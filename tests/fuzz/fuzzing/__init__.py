"""Inputs for the parsers that are almost valid, and the outcomes that are allowed."""
