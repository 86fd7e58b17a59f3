"""The paper's small experiments on CIFAR-10 (Sec. 3.1, 3.3), and what `reproduce` prints and draws."""
