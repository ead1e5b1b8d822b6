"""Shared by metric families: geometry, networks, weights files, vectors and distances between sets."""
