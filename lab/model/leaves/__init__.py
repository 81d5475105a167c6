"""Leaves of a model's configuration: dataclasses that check themselves, predict their size and build their module.

Nothing here imports torch, so that a configuration can be composed, checked and sized in a fraction of a second.
"""
