"""Reading packed records: in order, shuffled, by number."""
