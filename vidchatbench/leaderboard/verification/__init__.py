"""Checking a submitted bundle."""
