"""The report of a run: one page that opens offline, its plots as files, and its tables as CSV, LaTeX and BibTeX."""
