"""Metrics of multi-label medical coding, thresholds, and groups of code frequency.

`metrics` and `ranking` have the functions, `metric_table` has an entry for each metric, and `monitor` has the few that
training computes on dev.
"""
