"""Image quality without a reference."""
