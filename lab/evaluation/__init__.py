"""How good a model is: bits per byte of held-out text, probes of Korean grammar, decoding speed, and yardsticks."""
