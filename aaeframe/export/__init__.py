"""Trained models as files for other runtimes, each checked against torch."""
