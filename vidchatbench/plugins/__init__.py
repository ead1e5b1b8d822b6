"""What is installed, and what of it can run here."""
