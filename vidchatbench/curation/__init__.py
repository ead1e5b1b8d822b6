"""How a test set comes about."""
