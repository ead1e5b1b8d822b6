"""Statistics: the one place where samples become numbers with intervals. No metric has statistics of its own."""
