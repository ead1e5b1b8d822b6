"""How a test set comes about: annotations, selection, preparation, graded replies."""
