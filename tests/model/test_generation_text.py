"""Texts: whole characters only, an end at stop strings, and prompts that cannot be continued."""

import random
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.model.generate import (
    Rows,
    Sampling,
    Speculation,
    continuations,
    generate,
    generate_texts,
    stream_text,
    stream_texts,
)
from lab.model.generate.text import Characters, StopStrings
from tests.model.generation import random_rows, small

KOREAN = "대한민국은 민주공화국이다. 모든 권력은 국민으로부터 나온다."
CHARACTERS = KOREAN + "🇰🇷 naïve 漢字\n"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Bytes and a few pairs: a Korean character is two or three tokens."""
    tokenizer = Tokenizer.train([KOREAN], vocab_size=262)
    assert len(tokenizer.encode("권")) > 1
    return tokenizer


class Metaspace:
    """A tokenizer that, like some, drops the space in front of what it decodes, and has neither begin nor end."""

    begin_id = end_id = None
    words = ("▁the", "▁cat", "s", "▁sat")

    def encode(self, text: str) -> list[int]:
        return [self.words.index(f"▁{word}") for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.words[i] for i in ids).replace("▁", " ").removeprefix(" ")


# Characters.


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_no_piece_holds_half_a_character(tokenizer: Tokenizer, pieces: int) -> None:
    ids, prompt = tokenizer.encode(CHARACTERS), tokenizer.encode("국가 ")
    characters = Characters(tokenizer.decode, prompt)
    given = [characters.add(ids[i : i + pieces], last=False) for i in range(0, len(ids), pieces)]
    assert "".join(given) == CHARACTERS
    assert "" in given or pieces == 5
    assert not any("\ufffd" in piece for piece in given)


def test_bytes_that_never_become_a_character_come_out_in_the_end(tokenizer: Tokenizer) -> None:
    broken = tokenizer.encode("권")[:-1]
    characters = Characters(tokenizer.decode, tokenizer.encode("a"))
    assert characters.add(broken, last=False) == ""
    assert characters.add(tokenizer.encode("b"), last=False) == "\ufffdb"
    assert characters.add(broken, last=False) == ""
    assert characters.add([], last=True) == "\ufffd"


def test_a_decoder_that_takes_back_what_it_wrote() -> None:
    """As byte fallback does: a character and the first byte of the next together decode to replacements."""

    def decode(ids: Sequence[int]) -> str:
        try:
            return bytes(ids).decode()
        except UnicodeDecodeError:
            return "\ufffd" * len(ids)

    characters, given = Characters(decode, list("가".encode())), []
    for chunk in ("나".encode() + "다".encode()[:1], "다".encode()[1:], b"!"):
        given.append(characters.add(list(chunk), last=False))
    assert given == ["", "나다", "!"]


def test_spaces_between_tokens_stay() -> None:
    tokenizer = Metaspace()
    characters = Characters(tokenizer.decode, tokenizer.encode("the"))
    assert [characters.add([token], last=False) for token in (1, 2, 3)] == [" cat", "s", " sat"]


# Stop strings.


def test_text_ends_before_the_first_stop_string_however_it_is_cut() -> None:
    """Against one search over the whole text; what is out is always the beginning of the result."""
    chance = random.Random(0)
    for _ in range(500):
        text = "".join(chance.choices("ab국", k=chance.randrange(1, 20)))
        strings = [
            "".join(chance.choices("ab국", k=chance.randrange(1, 5))) for _ in range(chance.randrange(4))
        ]
        expected = text[: min((text.find(s) for s in strings if s in text), default=len(text))]
        stops, given, rest = StopStrings(strings), "", text
        while rest:
            cut = chance.randrange(1, 4)
            given += stops.add(rest[:cut], last=len(rest) <= cut)
            rest = rest[cut:]
            assert expected.startswith(given)
        assert given == expected
        assert stops.found == any(s in text for s in strings)


def test_no_more_is_held_back_than_may_become_a_stop_string() -> None:
    stops = StopStrings(["국민", "aab"])
    assert [stops.add(piece, last=False) for piece in ("한국", "가", "a", "aa", "c")] == [
        "한",
        "국가",
        "",
        "a",
        "aac",
    ]


# Both, from tokens to pieces.


def scripted(monkeypatch: pytest.MonkeyPatch, *outputs: Sequence[int], a_pass: int = 1) -> Any:
    """A model that says ``outputs``, a row each, ``a_pass`` tokens a forward pass."""

    def decode(model: object, rows: Rows, *_: object) -> Iterator[None]:
        chunks = [[row[i : i + a_pass] for i in range(0, len(row), a_pass)] for row in outputs]
        for step in zip_longest(*chunks, fillvalue=()):
            if not any(rows.is_open):
                return
            rows.add(step)
            yield

    monkeypatch.setattr("lab.model.generate.text.decode", decode)
    return SimpleNamespace(config=SimpleNamespace(max_positions=1000, vocab_size=300))


@pytest.mark.parametrize("a_pass", [1, 2, 7])
def test_a_stop_string_across_tokens_and_characters(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, a_pass: int
) -> None:
    ids = tokenizer.encode(KOREAN)
    model = scripted(monkeypatch, ids, a_pass=a_pass)
    pieces = list(stream_text(model, tokenizer, "제1조 ", len(ids), stop=["국민으로", "없는 말"]))
    assert "".join(pieces) == KOREAN[: KOREAN.index("국민으로")]
    assert all(pieces)
    whole = "".join(stream_text(model, tokenizer, "국민으로 ", len(ids), stop=["없는 말"]))
    assert whole == KOREAN


def test_rows_end_each_in_its_own_way(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a stop string, at the end of text, at another end, when they are full: half a character included."""
    text = tokenizer.encode(KOREAN)
    other_end = tokenizer.encode("!")[0]
    outputs = [text, [*text[:9], tokenizer.end_id, *text], [*text[:6], other_end, *text], text]
    model = scripted(monkeypatch, *outputs)
    prompts = ["하나", "둘", "셋 ", "넷"]
    texts = generate_texts(model, tokenizer, prompts, 11, stop=["민주"], end_ids=[other_end])
    expected = [tokenizer.decode(part) for part in (text[:11], text[:9], text[:6], text[:11])]
    expected = [part.split("민주")[0] for part in expected]
    assert texts == [prompt + part for prompt, part in zip(prompts, expected, strict=True)]


def test_a_row_that_stopped_is_not_decoded_further(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scripted(monkeypatch, tokenizer.encode("ab" * 50))
    assert len(list(stream_texts(model, tokenizer, ["x"], 100, stop=["ba"]))) <= 4


def test_pieces_of_a_model_are_its_text(tokenizer: Tokenizer) -> None:
    """A model's own tokens, which are seldom whole characters; neighbours and speculation change nothing."""
    model, sampling = small("k_exaone_2", vocab_size=262), Sampling(temperature=1.0, seed=2)
    prompts = ["대한", "the first of three", KOREAN]
    texts = generate_texts(model, tokenizer, prompts, 12, sampling)
    for row, prompt in enumerate(prompts):
        ids = [tokenizer.begin_id, *tokenizer.encode(prompt)]
        (new,) = continuations(
            model, [ids], 12, Sampling(temperature=1.0, seed=2 + row), end_ids=[tokenizer.end_id]
        )
        assert texts[row] == prompt + tokenizer.decode(new)
    count = Speculation()
    assert generate_texts(model, tokenizer, prompts, 9, speculation=count) == generate_texts(
        model, tokenizer, prompts, 9
    )
    assert count.passes > 0


def test_a_tokenizer_without_begin_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted(monkeypatch, [1, 2, 3])
    assert generate_texts(model, Metaspace(), ["the"], 3) == ["the cats sat"]


# Tokens.


def test_rows_are_filled_with_the_end_that_they_reached() -> None:
    model, prompt = small("llama"), torch.tensor(random_rows(4, 4))
    free = generate(model, prompt, 10)
    assert torch.equal(free[:, :4], prompt)
    end = int(free[0, 6])
    assert end not in free[0, 4:6]
    assert end not in free[1, 4:]
    ended = generate(model, prompt, 10, end_id=end)
    assert ended[0].tolist() == [*free[0, :7].tolist(), *[end] * 7]
    assert torch.equal(ended[1], free[1])
    assert generate(model, prompt[:1], 10, end_id=end).shape == (1, 7)


# What is refused, in one sentence.


@pytest.mark.parametrize(
    ("prompts", "num_new", "sentence"),
    [
        ([], 1, r"prompt=\[\] cannot be used: there must be at least one\."),
        ([[1], []], 1, r"prompt='' cannot be used: it must hold at least one token\."),
        ([[1, 300]], 1, r"prompt with token 300 cannot be used: tokens lie below model\.vocab_size=300\."),
        ([[-1]], 1, r"prompt with token -1 cannot be used: tokens lie below"),
        ([[1]], 0, r"new_tokens=0 cannot be used: it must be at least 1\."),
        ([[1]], -5, r"new_tokens=-5 cannot be used: it must be at least 1\."),
        ([[1], [1] * 1020], 5, r"prompt of 1020 tokens with new_tokens=5 .* model\.max_positions=1024\."),
    ],
)
def test_prompts_that_cannot_be_continued(prompts: list[list[int]], num_new: int, sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        continuations(small("llama"), prompts, num_new)


@pytest.mark.parametrize(
    ("prompt", "stop", "sentence"),
    [
        ("", [], r"prompt='' cannot be used: it must hold at least one character\."),
        (
            b"\xff\xfe".decode(errors="surrogateescape"),
            [],
            r"prompt='\\udcff\\udcfe' cannot be used: it must be valid UTF-8\.",
        ),
        ("a", [""], r"stop='' cannot be used: it must hold at least one character\."),
        ("a", ["\udcff"], r"stop='\\udcff' cannot be used: it must be valid UTF-8\."),
    ],
)
def test_texts_that_cannot_be_used(tokenizer: Tokenizer, prompt: str, stop: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"^{sentence}$"):
        stream_texts(small("llama"), tokenizer, [prompt], 3, stop=stop)
