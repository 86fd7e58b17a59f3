"""A packed data set on disk: its manifest, records, statistics and checks."""
