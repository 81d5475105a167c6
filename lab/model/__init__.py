"""The decoder and its parts: every mechanism of every contender as a leaf of one configuration tree."""
