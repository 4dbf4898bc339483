"""Prediction of many notes: tables and folders of notes in, one table of codes out, restarted where it was stopped."""
