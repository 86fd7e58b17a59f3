"""The network (Sec. 3)."""
