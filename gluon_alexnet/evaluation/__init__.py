"""Error rates, ensembles and saved predictions (Sec. 6)."""
