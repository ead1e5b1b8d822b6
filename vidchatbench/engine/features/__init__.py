"""The feature store: what was extracted once is never extracted again, and never mistaken for something else."""
