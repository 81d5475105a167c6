"""Which tensors of a released folder hold which of ours."""
