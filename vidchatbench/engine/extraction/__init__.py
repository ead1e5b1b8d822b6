"""From clips to features: each clip is decoded once."""
