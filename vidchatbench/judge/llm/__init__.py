"""Asking a language model; nothing here knows of judging."""
