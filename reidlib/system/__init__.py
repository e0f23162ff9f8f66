"""Files, compute, several processes: what knows nothing of re-identification."""
