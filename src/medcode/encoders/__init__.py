"""Pretrained encoders: their sources, the folder data/encoder, subword tokenizers, and continued pretraining."""
