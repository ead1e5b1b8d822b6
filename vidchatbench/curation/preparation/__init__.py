"""Preparing a test set on the user's computer: annotations, source videos, exact cuts, reference images, manifest."""
