"""Operators, one folder each: ``naive.py`` is the equation in float32, files beside it are faster paths."""
