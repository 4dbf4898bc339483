"""Metrics of multi-label medical coding, thresholds, groups of code frequency, and their summary."""
