"""Tests, on weights, of whether a model was trained from scratch or grew out of another."""
