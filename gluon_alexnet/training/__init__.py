"""Learning (Sec. 5): one update, the loop, the learning rate, checkpoints, fine-tuning."""
