"""Bits per byte by position: every byte once, whatever the tokenizer cuts; and maths that is right."""

import math
import re

import numpy as np
import pytest

from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.evaluation.intrinsic import bits_by_position, byte_ends, long_texts, maths_documents
from tests.evaluation.stand_ins import CharacterTokenizer, StandIn, document, tiny_decoder, uniform

TEXTS = ["세금을 낸다. 기기를 켠다.\n" * 20, "The device 켠다 is ready. " * 15, "𝔘𝔫 값이 크다 " * 10, " "]
DOCUMENTS = [document(str(place), text) for place, text in enumerate(TEXTS)]
JOINED = "\n\n".join(TEXTS[:3])
BYTES = Tokenizer.train(
    ["세금 기기"], vocab_size=262
)  # nearly every byte a token, so that cuts fall inside characters
MERGES = Tokenizer.train(TEXTS, vocab_size=360)
CHARACTERS = CharacterTokenizer(JOINED)


@pytest.mark.parametrize("tokenizer", [BYTES, MERGES, CHARACTERS])
@pytest.mark.parametrize("window", [7, 64, 4000])
def test_pieces_and_ranges_hold_every_byte_once(tokenizer: Tokenizer, window: int) -> None:
    pieces = long_texts(DOCUMENTS, tokenizer, window)
    assert "".join(text for _, text in pieces) == JOINED
    assert all(len(ids) <= window for ids, _ in pieces)
    found = bits_by_position(DOCUMENTS, tokenizer, uniform(8), 4, window, 256)
    assert found.bytes.sum() == len(JOINED.encode())
    assert (found.bytes >= 0).all()
    assert found.bytes.sum(1).tolist() == [len(text.encode()) for _, text in pieces]
    tokens = sum(len(ids) for ids, _ in pieces)
    assert found.bits.sum() == pytest.approx(3 * tokens, rel=1e-5)


def test_a_character_that_is_cut_counts_after_the_cut() -> None:
    ids = BYTES.encode("켠a")
    assert len(ids) == 4
    assert byte_ends(BYTES, ids, "켠a", [1, 2, 3, 4]) == [0, 0, 3, 4]


def test_each_position_is_charged_to_its_range() -> None:
    """A model that needs n bits for the nth token."""
    model = StandIn(lambda inputs, wanted: [place * math.log(2) for place in range(len(wanted))])
    found = bits_by_position([document("a", "abcdefgh")], CharacterTokenizer("abcdefgh"), model, 4, 8, 64)
    assert found.ranges == ((0, 1), (1, 2), (2, 4), (4, 8))
    assert found.bits[0] == pytest.approx([0, 1, 2 + 3, 4 + 5 + 6 + 7])
    assert found.bytes[0].tolist() == [1, 1, 2, 4]
    figures = found.as_dict(seed=0)
    assert figures["bits_per_byte"] == pytest.approx(28 / 8)
    assert [row["bits_per_byte"] for row in figures["positions"]] == pytest.approx([0, 1, 2.5, 5.5])


def test_the_batch_changes_nothing() -> None:
    model = tiny_decoder()
    one, many = (bits_by_position(DOCUMENTS, MERGES, model, 16, 64, tokens) for tokens in (1, 10_000))
    assert one.bits == pytest.approx(many.bits, rel=1e-4, abs=1e-4)


def test_no_text_and_no_numbers_are_one_sentence() -> None:
    for documents in ([], [document("a", ""), document("b", " \n ")]):
        with pytest.raises(ConfigError, match="held-out documents are empty"):
            long_texts(documents, BYTES, 8)
    broken = StandIn(lambda inputs, wanted: [math.nan] * len(wanted))
    with pytest.raises(ConfigError, match="no finite likelihood"):
        bits_by_position(DOCUMENTS, CHARACTERS, broken, 4, 8, 64)


def test_a_tokenizer_that_loses_text_is_refused() -> None:
    class Lossy(CharacterTokenizer):
        def decode(self, ids: object) -> str:
            return super().decode(ids).upper()  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match="does not give its text back"):
        bits_by_position([document("a", "abcd")], Lossy("abcd"), uniform(8), 2, 2, 64)


def test_the_maths_is_right_and_repeats() -> None:
    documents = maths_documents(20_000, seed=0)
    assert documents == maths_documents(20_000, seed=0) != maths_documents(20_000, seed=1)
    assert sum(len(one.text.encode()) for one in documents) >= 20_000
    assert {one.language for one in documents} == {"ko", "en"}
    checked = 0
    for line in "\n".join(one.text for one in documents).split("\n"):
        numbers = list(map(int, re.findall(r"\d+", line)))
        if "x + " in line:
            a, b, r, again, s, c = numbers
            assert (a, s, r) == (again, a * c, a * c + b)
        elif "합" in line or "sum" in line:
            b, c, s, r = numbers
            assert (s, r) == (b + c, b * c)
        elif "×" in line:
            assert numbers[-1] == numbers[-3] * numbers[-2]
        else:
            s, a, b, r = numbers
            assert (s, r < a) == (a * b + r, True)
        checked += 1
    assert checked > 200
    assert np.isclose(sum(one.language == "ko" for one in documents), len(documents) / 2, atol=1)
