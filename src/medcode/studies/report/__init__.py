"""Tables, figures and report pages of studies."""
