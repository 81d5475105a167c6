"""Exercises: right, of the forms that tasks ask in, as much as was asked for, and nothing of them is ever asked."""

import random
from collections import Counter

import pytest

from lab.data import exercises
from lab.data.document import Document, Pair
from lab.data.exercises import draw_problem, is_reserved, write_exercises
from tests.evaluation.held_out import problem_of


def text(language: str, number: int, line: str) -> Document:
    return Document(f"{language}{number}", language, "source", "\n".join([line] * 20), f"group{number}")


TRAINING = {
    "ko": [text("ko", number, f"세금을 {number}번 내는 사람이 있습니다.") for number in range(40)],
    "en": [text("en", number, f"Person {number} pays the tax.") for number in range(40)],
}
PAIRS = [
    Pair("c", f"g{n}", f"{n}번 방에서 목록을 보는 화면", f"See the list in room number {n}")
    for n in range(30)
]
SHARE = 0.5
WRITTEN = write_exercises(TRAINING, PAIRS, SHARE, "salt")


def of_kind(kind: str) -> list[str]:
    return [one.text for one in WRITTEN if one.id.startswith(f"{exercises.SOURCE}:{kind}_")]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_problems_are_solved_rightly_and_none_is_reserved(language: str) -> None:
    texts = [one.text for one in WRITTEN if one.id.startswith(f"{exercises.SOURCE}:arithmetic_{language}")]
    lines = [line for one in texts for line in one.split("\n")]
    assert len(lines) > 100
    for line in lines:
        a, sign, b = problem_of(line)
        assert int(line.rsplit(" ", 1)[1]) == {"+": a + b, "-": a - b, "*": a * b}[sign]
        assert not is_reserved(a, sign, b)


def test_reserved_problems_are_about_one_in_four_of_every_sign() -> None:
    draw = random.Random(0)
    asked = {problem_of(draw_problem(draw, "en", reserved=True)[0]) for _ in range(20_000)}
    assert all(is_reserved(*one) for one in asked)
    signs = Counter(sign for _, sign, _ in asked)
    assert 1000 < signs["+"] < 1500
    assert 1000 < signs["-"] < 1500
    assert 4 <= signs["*"] <= 14  # of 36


def test_every_association_that_is_repeated_was_listed() -> None:
    for one in of_kind("associations"):
        words = one.split(" ")
        said = [*zip(words[::2], words[1::2], strict=True)]
        count = len(set(said))
        assert exercises.MIN_LISTED <= count <= exercises.MAX_LISTED
        assert len({key for key, _ in said}) == len({value for _, value in said}) == count
        assert Counter(said) == dict.fromkeys(said[:count], 3)
        assert not is_reserved(*sorted(said[:count]))


def test_every_fact_that_is_asked_for_was_told_in_text_that_is_trained_on() -> None:
    known = {line for document in TRAINING["ko"] for line in document.text.split("\n")}
    for one in of_kind("facts"):
        *lines, first, second, third, fourth = one.split("\n")
        asked = {first, second, third, fourth}
        told = [line for line in lines if line in asked]
        assert sorted(told) == sorted(asked)
        assert len(told) == exercises.NUM_FACTS
        assert not is_reserved(*sorted(tuple(line.split("에는 ")) for line in told))
        assert set(lines) - asked <= known


def test_a_pair_is_there_once_in_either_direction() -> None:
    assert sorted(of_kind("pairs")) == sorted(
        text
        for pair in PAIRS
        for text in (f"한국어: {pair.ko}\nEnglish: {pair.en}", f"English: {pair.en}\n한국어: {pair.ko}")
    )


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_exercises_are_the_share_that_was_asked_for(share: float) -> None:
    written = write_exercises(TRAINING, PAIRS * 100, share, "salt")
    for language, documents in TRAINING.items():
        texts, made = (
            sum(len(one.text) for one in some if one.language == language) for some in (documents, written)
        )
        assert made / (made + texts) == pytest.approx(share, rel=0.1)
    assert len({one.id for one in written}) == len({one.group for one in written}) == len(written)


def test_the_salt_decides_and_text_that_is_not_there_is_not_needed() -> None:
    assert write_exercises(TRAINING, PAIRS, SHARE, "salt") == WRITTEN
    assert write_exercises(TRAINING, PAIRS, SHARE, "other") != WRITTEN
    assert write_exercises({"code": TRAINING["en"]}, [], SHARE, "salt") == []
    english = write_exercises({"en": TRAINING["en"]}, [], SHARE, "salt")
    assert {one.language for one in english} == {"en"}
