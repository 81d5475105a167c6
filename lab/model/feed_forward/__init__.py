"""Feed-forward layers: gated units, their activations, and mixtures of them."""
