"""Devices, batches, precision and processes, shared by training, scoring and pretraining. Imports none of them."""
