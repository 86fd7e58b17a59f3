"""Drawings of nets and of their learning, as PNG, SVG or PDF: one file a drawing."""
