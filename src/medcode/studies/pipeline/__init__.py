"""DVC pipelines of studies and their progress."""
