"""Pairs of tiny models whose relation is known, and what the audit says of each."""
