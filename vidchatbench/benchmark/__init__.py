"""Reading a benchmark: its manifest and media, from a folder, a table or the hub."""
