"""A run as one page that opens offline, with plots, CSV, LaTeX and BibTeX."""
