"""Hydra's view of :mod:`lab.sweep`: what ``-m`` means, and where its jobs run by default."""
