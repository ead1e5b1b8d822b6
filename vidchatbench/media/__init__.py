"""Media: probing, decoding in one pass, the policies for rotation, colour, rates and sound. PyAV and nothing else."""
