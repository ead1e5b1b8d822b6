"""Results: the versioned files of a run, and the only code that aggregates samples."""
