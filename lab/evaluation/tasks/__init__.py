"""Tasks made from held-out text alone: multiple-choice items by stated constructions, and their export."""
