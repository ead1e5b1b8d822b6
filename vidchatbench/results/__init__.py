"""Results: the versioned files of a run, and the one place where samples are aggregated."""
