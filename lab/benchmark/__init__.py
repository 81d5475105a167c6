"""Timing: our operators, training steps and decoding against their twins, against transformers, against the machine."""
