"""Duplicates and near-duplicates: exact by digest, near by MinHash with a check of the true similarity.

Two texts are near-duplicates when the Jaccard similarity of their sets of character n-grams reaches
``SIMILARITY``. MinHash signatures [N, PERMUTATIONS] are cut into bands; texts that agree on a whole band are
candidates (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3), and only candidates have
their true similarity computed. Everything is integer arithmetic with fixed constants, so that every machine
keeps the same texts.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SIMILARITY = 0.8
BANDS, ROWS = 20, 5
"""A pair at similarity s becomes a candidate with probability 1 - (1 - s**ROWS)**BANDS: 0.9996 at 0.8."""
PERMUTATIONS = BANDS * ROWS
BUCKET_LIMIT = 64
"""In a crowded bucket a text is compared with this many kept texts at most, so that time stays linear."""

Hashes = NDArray[np.uint64]


def mix(values: Hashes) -> Hashes:
    """The splitmix64 finaliser: a bijection of 64-bit words that looks random."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shingles(text: str, width: int) -> Hashes:
    """Sorted distinct hashes of the character ``width``-grams of ``text``, white space and case set aside."""
    characters = np.frombuffer("".join(text.lower().split()).encode("utf-32-le"), dtype="<u4").astype(
        np.uint64
    )
    count = max(len(characters) - width + 1, 1)
    padded = np.concatenate([characters, np.zeros(width, dtype=np.uint64)])
    rolled = np.zeros(count, dtype=np.uint64)
    for offset in range(width):
        rolled = rolled * np.uint64(0x9E3779B97F4A7C15) + padded[offset : offset + count]
    return np.unique(mix(rolled))


def similarity(left: Hashes, right: Hashes) -> float:
    """Jaccard similarity of two sets of shingles."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def signatures(sets: Sequence[Hashes]) -> Hashes:
    """MinHash signatures [N, PERMUTATIONS] of N sets; a permutation is a product with an odd word."""
    flat = np.concatenate(sets)
    starts = np.cumsum([0] + [len(one) for one in sets[:-1]])
    odd_words = mix(np.arange(1, PERMUTATIONS + 1, dtype=np.uint64)) | np.uint64(1)
    return np.stack([np.minimum.reduceat(flat * word, starts) for word in odd_words], axis=1)


def distinct(texts: Sequence[str], width: int) -> list[int]:
    """Indices of the texts to keep, in order: the first of every family of duplicates and near-duplicates.

    ``width`` is the length of the character n-grams compared: 3 suits single sentences, 5 whole documents.
    """
    first_of: dict[bytes, int] = {}
    for index, text in enumerate(texts):
        first_of.setdefault(blake2b(" ".join(text.split()).encode(), digest_size=16).digest(), index)
    unique = sorted(first_of.values())
    if len(unique) < 2:
        return unique
    sets = [shingles(texts[index], width) for index in unique]
    dropped: set[int] = set()
    for later, earlier in _candidates(signatures(sets)):
        if earlier in dropped or later in dropped:
            continue
        small, large = sorted((len(sets[later]), len(sets[earlier])))
        if small >= SIMILARITY * large and similarity(sets[later], sets[earlier]) >= SIMILARITY:
            dropped.add(later)
    return [index for place, index in enumerate(unique) if place not in dropped]


def _candidates(signature: Hashes) -> list[tuple[int, int]]:
    """Pairs (later, earlier) that agree on a band; sorted, so that a text is judged before it judges."""
    pairs: set[tuple[int, int]] = set()
    for band in range(BANDS):
        columns = signature[:, band * ROWS : (band + 1) * ROWS]
        key = columns[:, 0]
        for column in range(1, ROWS):
            key = mix(key + columns[:, column])
        order = np.argsort(key, kind="stable")
        edges = np.concatenate([[0], np.flatnonzero(np.diff(key[order])) + 1, [len(order)]])
        for bucket in np.flatnonzero(np.diff(edges) > 1):
            members = order[edges[bucket] : edges[bucket + 1]].tolist()
            for place, later in enumerate(members):
                pairs.update((later, earlier) for earlier in members[max(0, place - BUCKET_LIMIT) : place])
    return sorted(pairs)
