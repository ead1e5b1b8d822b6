"""The benchmark: its manifest, read and checked as a whole before anything is scored."""
