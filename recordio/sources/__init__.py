"""Where images come from: class folders, tars, ImageNet's official files, CIFAR-10."""
