"""Weights: found by content, verified always, downloaded only when asked for."""
