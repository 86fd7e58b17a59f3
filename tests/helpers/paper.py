"""Facts of the paper that more than one test holds the code against (Sec. 3.5)."""

# Parameters of each layer of the full net with 1000 classes.
PARAMETERS = {
    "conv1": 34_944,
    "conv2": 307_456,
    "conv3": 885_120,
    "conv4": 663_936,
    "conv5": 442_624,
    "fc6": 37_752_832,
    "fc7": 16_781_312,
    "fc8": 4_097_000,
}
