"""Learning on dev what a model's probabilities mean, and above which of them each code is predicted."""
