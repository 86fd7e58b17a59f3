"""ImageNet as packed records (paper Sec. 2, 4.1): sources, packing, statistics and the reader."""
