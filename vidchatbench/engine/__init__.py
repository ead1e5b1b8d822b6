"""From outputs to numbers: plan, extract, score, aggregate."""
