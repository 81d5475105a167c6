"""Sweeps: many runs from one question, finished whatever happens in between."""
