"""The official evaluations of January and August 2026: rules, published scores, and what follows from both."""
