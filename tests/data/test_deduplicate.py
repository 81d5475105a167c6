"""MinHash keeps what an exhaustive comparison would keep."""

import random

import numpy as np

from lab.data.deduplicate import SIMILARITY, distinct, mix, shingles, similarity

WIDTH = 3


def edited(text: str, edits: int, random_: random.Random) -> str:
    letters = list(text)
    for place in random_.sample(range(len(letters)), edits):
        letters[place] = random_.choice("가나다라마바사아자차")
    return "".join(letters)


def exhaustive(texts: list[str]) -> list[int]:
    """The obvious twin: every text against every text kept before it."""
    kept: list[int] = []
    for index, text in enumerate(texts):
        grams = [
            {t[i : i + WIDTH] for i in range(len(t) - WIDTH + 1)} for t in (text, *(texts[k] for k in kept))
        ]
        if all(len(grams[0] & other) < SIMILARITY * len(grams[0] | other) for other in grams[1:]):
            kept.append(index)
    return kept


def test_distinct_keeps_what_an_exhaustive_comparison_keeps() -> None:
    random_ = random.Random(0)
    originals = ["".join(random_.choices("가나다라마바사아자차카타파하", k=80)) for _ in range(60)]
    texts = originals + [edited(text, edits, random_) for text in originals for edits in (0, 1, 2, 3, 9, 20)]
    random_.shuffle(texts)
    expected = exhaustive(texts)
    assert 60 < len(expected) < len(texts)
    assert distinct(texts, WIDTH) == expected


def test_white_space_and_case_make_no_difference() -> None:
    assert distinct(["The Same Sentence.", "the  same\nsentence.", "Another one."], WIDTH) == [0, 2]


def test_similarity_is_jaccard() -> None:
    assert similarity(shingles("abcdef", 3), shingles("abcdef", 3)) == 1
    assert similarity(shingles("abcd", 3), shingles("bcde", 3)) == 1 / 3
    assert similarity(shingles("abc", 3), shingles("xyz", 3)) == 0


def test_hashes_are_the_same_everywhere() -> None:
    values = mix(np.array([1, 2], dtype=np.uint64))
    assert [hex(value) for value in values] == ["0x5692161d100b05e5", "0xdbd238973a2b148a"]
    assert len(shingles("한", 5)) == 1
