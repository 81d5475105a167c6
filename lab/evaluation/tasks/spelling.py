"""Hangul spelling: a word as it was written, or with one letter of one syllable changed."""

import re
from collections.abc import Iterator

from lab.data.document import Document
from lab.evaluation.items import Candidate, ChoiceItem, draw_items
from lab.evaluation.korean import sentences
from lab.evaluation.tasks.task import HeldOutText, documents_of, place_answer, rank

VOWELS, FINALS = 21, 28
BASE = ord("가")
MIN_CHARACTERS, MAX_CHARACTERS = 15, 120

CONFUSED = {0: 4, 4: 0, 1: 5, 5: 1, 8: 13, 13: 8, 10: 15, 15: 10, 18: 20, 20: 18, 2: 6, 6: 2, 12: 17, 17: 12}
"""Vowels by Unicode's number and the one that each is taken for: ㅏㅓ, ㅐㅔ, ㅗㅜ, ㅙㅞ, ㅡㅣ, ㅑㅕ, ㅛㅠ."""


def hangul_spelling(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """The word and the rest of its sentence; in the wrong choice one vowel is another that it's taken for."""
    documents = documents_of(text, "ko", seed)
    known = {word for document in documents for word in _WORD.findall(document.text)}
    return draw_items(_candidates(documents, known, seed), num_items, seed)


def misspelt(word: str, known: set[str], *salt: object) -> str | None:
    """``word`` with one vowel changed into a word that is not ``known``; None where there is no such."""
    for place in sorted(range(len(word)), key=lambda one: rank(*salt, word, one)):
        code = ord(word[place]) - BASE
        initial, vowel, final = code // (VOWELS * FINALS), code // FINALS % VOWELS, code % FINALS
        if vowel in CONFUSED:
            syllable = chr(BASE + (initial * VOWELS + CONFUSED[vowel]) * FINALS + final)
            changed = word[:place] + syllable + word[place + 1 :]
            if changed not in known:
                return changed
    return None


_WORD = re.compile("[가-힣]{2,}")


def _candidates(documents: list[Document], known: set[str], seed: int) -> Iterator[Candidate]:
    for document in documents:
        for sentence in sentences(document.text):
            if not MIN_CHARACTERS <= len(sentence) <= MAX_CHARACTERS:
                continue
            for found in re.finditer(r"(?<=\S )[가-힣]{2,}(?= |$)", sentence):
                wrong = misspelt(found[0], known, seed, document.id)
                if wrong is not None:
                    head, rest = sentence[: found.start() - 1], sentence[found.end() :]
                    item = place_answer(head, f" {found[0]}{rest}", [f" {wrong}{rest}"], document.id, seed)
                    yield Candidate(item, sentence)
