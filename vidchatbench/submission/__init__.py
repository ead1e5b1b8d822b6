"""Outputs of a system: found and checked before a model runs."""
