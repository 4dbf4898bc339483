"""Definition of a study: its file, the published numbers, and the settings of each training."""
