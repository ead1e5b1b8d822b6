"""Reference submissions: replies whose fault is known, and the audit that shows which metrics see it."""
