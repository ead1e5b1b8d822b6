"""Weights by their hash: found, verified, downloaded on request."""
