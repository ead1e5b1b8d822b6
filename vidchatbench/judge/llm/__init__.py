"""Asking language models: endpoints, retries, pace, budget, the cache of answers, and one event loop for all of it."""
