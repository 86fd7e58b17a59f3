"""Every number of a training, declared once."""
