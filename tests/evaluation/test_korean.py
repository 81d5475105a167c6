"""Particles in sentences written by hand: the forms they take, and what is no particle."""

import pytest

from lab.evaluation.korean import CASES, OBJECT, Particle, case_particles, final_consonant, sentences

DIRECTIONAL = next(particle for particle in CASES if particle.role == "directional")


@pytest.mark.parametrize(
    ("syllable", "consonant"),
    [("가", ""), ("각", "ㄱ"), ("닭", "ㄺ"), ("울", "ㄹ"), ("값", "ㅄ"), ("힣", "ㅎ")],
)
def test_final_consonants(syllable: str, consonant: str) -> None:
    assert final_consonant(syllable) == consonant


@pytest.mark.parametrize(
    ("particle", "stem", "form"),
    [
        (OBJECT, "사과", "를"),
        (OBJECT, "세금", "을"),
        (OBJECT, "서울", "을"),
        (DIRECTIONAL, "회사", "로"),
        (DIRECTIONAL, "집", "으로"),
        (DIRECTIONAL, "서울", "로"),
    ],
)
def test_forms(particle: Particle, stem: str, form: str) -> None:
    assert particle.form(stem) == form


def found(sentence: str) -> list[tuple[str, str]]:
    """Role and word of each particle found, the word with a bar before the particle."""
    return [
        (one.particle.role, f"{sentence[: one.start].split()[-1]}|{sentence[one.start : one.end]}")
        for one in case_particles(sentence)
    ]


def test_every_case_of_a_sentence_is_found() -> None:
    assert found("납세자는 관할 세무서에 양도소득의 세금을 현금으로 낸다.") == [
        ("locative", "세무서|에"),
        ("genitive", "양도소득|의"),
        ("object", "세금|을"),
        ("directional", "현금|으로"),
    ]
    assert found("사용자가 기기를 서버로 옮긴다.") == [("object", "기기|를"), ("directional", "서버|로")]
    assert found("(설정을 서울로, 값을) 저장한다") == [("object", "(설정|을"), ("directional", "서울|로")]


@pytest.mark.parametrize(
    "sentence",
    [
        "바로 서로 새로 만난다",  # one syllable before what looks like 로
        "마을 회의 가을",  # nouns that end in the syllable
        "민주주의 국가와 이사회의 결의",  # 주의, and 회의 that may be a council's or a council
        "이미 나타났을 사람",  # a verb in the past
        "적용받을 사람이 온다",  # a verb before a noun
        "기기가 깨달을 경우",  # before a noun that follows verbs
        "그럴 수밖에 없으므로 마음대로 한다",
        "오류가 있음을를 안다",  # the wrong form
        "사과을 기기으로 서울으로 회사을",
        "파일을(를) 엽니다",  # both forms
        "버전에서의 변경",
    ],
)
def test_what_is_no_certain_particle_is_passed_over(sentence: str) -> None:
    assert found(sentence) == []


def test_value_is_a_noun_though_it_ends_like_a_verb() -> None:
    assert found("설정값을 바꾼다") == [("object", "설정값|을")]


def test_sentences_end_at_stops_but_not_in_dates() -> None:
    text = "세금을 낸다. 언제 내는가? 2021. 1. 1. 이후에 낸다.\n기한 없음"
    assert list(sentences(text)) == [
        "세금을 낸다.",
        "언제 내는가?",
        "2021. 1. 1. 이후에 낸다.",
        "기한 없음",
    ]
