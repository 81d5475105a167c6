"""Corpora, the tokenizer, and the loader that turns them into training batches."""
