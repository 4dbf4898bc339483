"""What training, scoring and pretraining share: devices, batches, precision, processes. Imports none of them."""
