"""Pretrained encoders: where they come from, the folder that the workflow keeps one in, and further pretraining."""
