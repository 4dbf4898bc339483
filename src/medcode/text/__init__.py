"""Text: tokens, vocabulary and word vectors."""
