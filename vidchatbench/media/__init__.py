"""Media: probe, decode in one pass, cut, encode. PyAV and nothing else."""
