"""Choosing the samples of a test set."""
