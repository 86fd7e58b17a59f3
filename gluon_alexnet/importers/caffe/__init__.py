"""BVLC's AlexNet and CaffeNet from Caffe's files: what differs from the paper's net is carried over."""
