"""DVC pipelines of studies, and how far each has come."""
