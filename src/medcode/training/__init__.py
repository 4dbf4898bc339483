"""Training: losses, optimizer, learning rates, checkpoints, and the loop that uses them."""
