"""Evidence: which words of a note made a model's scores."""
