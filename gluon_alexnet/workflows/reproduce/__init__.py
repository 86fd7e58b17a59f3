"""The paper's own experiments, done again: its tables, its single differences, and those on CIFAR-10."""
