"""The submission: finding a system's outputs, and the pre-flight check that lists every problem at once."""
