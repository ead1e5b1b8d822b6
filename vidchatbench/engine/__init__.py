"""The engine: plan what is missing, extract it in one decoding pass per clip, score, and collect."""
