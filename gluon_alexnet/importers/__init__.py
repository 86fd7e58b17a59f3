"""Other programs' AlexNets."""
