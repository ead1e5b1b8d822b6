"""Ladders of graded replies: written by a language model, and checked by a panel that does not see the grades."""
