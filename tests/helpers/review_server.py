"""What tests of the server of a review share."""

from __future__ import annotations

TOKEN, PORT = "a-token-of-this-test", 8000
TOP = 3  # codes that are predicted for each note
