"""Training: batches, loss, optimisation, checkpoints, and the loop that uses them."""
