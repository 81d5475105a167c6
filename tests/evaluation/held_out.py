"""Held-out text written by hand, with everything that the constructions look for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.data.document import Document, Pair
from lab.evaluation.korean import DIRECTIONAL, OBJECT
from tests.evaluation.stand_ins import document

THINGS = ("세금", "기기", "주택", "서버", "설정", "자료", "법률", "회사", "문서", "화면", "계약", "건물")
DEEDS = ("저장한다고 적었다", "살펴본다고 말했다", "준비한다고 알렸다", "검토한다고 썼다")
MANNERS = ("빠르게", "느리게", "고르게", "새롭게", "가볍게", "무겁게", "어둡게", "두껍게", "외롭게", "해롭게")
SIGNS = {"더하기": "+", "빼기": "-", "곱하기": "*", "and": "+", "minus": "-", "times": "*"}
ENGLISH = ("settings", "records", "servers", "documents", "screens", "contracts")


def korean(number: int, source: str) -> Document:
    lines = []
    manner = MANNERS[number]
    for place, thing in enumerate(THINGS):
        deed = DEEDS[(number + place) % 4]
        direction = f"{thing}{DIRECTIONAL.form(thing)}"
        lines.append(f"담당자 {number * 100 + place}번은 새로운 {thing}{OBJECT.form(thing)} {manner} {deed}.")
        lines.append(f"그다음에 오래된 {thing}의 내용만 {number}번째로 {manner} 다시 {deed}.")
        lines.append(f"마지막으로 {thing}에 대하여 {number}명이 {manner} 천천히 {deed}.")
        lines.append(f"이어서 {number}번째 사람이 {direction} {manner} 옮긴다고 {deed}.")
    return replace(document(f"{source}{number}", "\n".join(lines)), source=source)


def english(number: int, source: str) -> Document:
    lines = [f"Person {number} reads all {word} of office {number * 7}." for word in ENGLISH]
    return replace(document(f"{source}-e{number}", "\n".join(lines), "en"), source=source)


def pairs(number: int) -> list[Pair]:
    return [
        Pair(
            "catalogue",
            f"g{number}",
            f"{number}번 방에서 {thing} 목록을 본다",
            f"See list {place} in room {number}",
        )
        for place, thing in enumerate(THINGS)
    ]


@dataclass
class WrittenText:
    """What constructions read, in memory."""

    documents: list[Document]
    messages: list[Pair] = field(default_factory=list)
    texts: Path = Path("written")

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(sorted({one.language for one in self.documents}, reverse=True))

    def held_out(self, language: str) -> list[Document]:
        return [one for one in self.documents if one.language == language]

    def pairs(self, split: str) -> list[Pair]:
        assert split == "held_out"
        return self.messages


def written(documents: Sequence[Document] | None = None) -> WrittenText:
    if documents is None:
        documents = [make(number, "ab"[number % 2]) for number in range(10) for make in (korean, english)]
    return WrittenText(list(documents), [pair for number in range(6) for pair in pairs(number)])


def problem_of(line: str) -> tuple[int, str, int]:
    """The operands and the sign of a problem in words, whatever its result."""
    a, b = map(int, re.findall(r"\d+", line)[:2])
    (sign,) = (mark for word, mark in SIGNS.items() if f" {word} " in line)
    return a, sign, b
