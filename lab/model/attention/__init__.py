"""Token mixers: softmax attention in its grouped-query, latent and differential forms."""
