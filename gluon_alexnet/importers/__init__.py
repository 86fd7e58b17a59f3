"""Other programs' AlexNets."""

KINDS = ("caffe", "torchvision", "gluon-zoo", "lpips")  # whose files `import` reads
