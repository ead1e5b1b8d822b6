"""The files of a run and their statistics; only this package aggregates."""
