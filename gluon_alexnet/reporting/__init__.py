"""One page that tells of a run: what was trained on what, how it went, and what the net knows and does not."""
