"""How good a model is: bits per byte, probes of Korean grammar, decoding speed; and yardsticks."""
