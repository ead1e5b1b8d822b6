"""Reference submissions of known fault, and which metrics notice them."""
