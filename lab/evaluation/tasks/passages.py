"""What goes on a text: the next sentence, and a word taken out of an article."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from lab.data.document import Document, hangul_share
from lab.evaluation.items import Candidate, ChoiceItem, draw_items
from lab.evaluation.korean import sentences
from lab.evaluation.tasks.task import HeldOutText, documents_of, nearest_in_length, place_answer, rank

WRONG = 3
MIN_CHARACTERS, MAX_CHARACTERS = 15, 160
MAX_CONTEXT = 400
"""Characters of context at most, from the start of a sentence on."""

MIN_HANGUL_SHARE = 0.5
MIN_WORD = 2


def next_sentence(
    language: str, near: bool, text: HeldOutText, num_items: int, seed: int
) -> tuple[ChoiceItem, ...]:
    """Which sentence follows? Wrong ones are as long and stand in other documents of ``language``.

    With ``near`` these are of the same source, a law among laws, otherwise of another source where there is one.
    """
    return draw_items(_next_sentences(documents_of(text, language, seed), near, seed), num_items, seed)


next_sentence_ko = partial(next_sentence, "ko", False)
next_sentence_en = partial(next_sentence, "en", False)
near_sentence_ko = partial(next_sentence, "ko", True)


def article_cloze(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Which word is missing, given all before it and the rest of its sentence?"""
    return draw_items(_clozes(documents_of(text, "ko", seed), seed), num_items, seed)


def _usable(document: Document) -> list[str]:
    """The sentences of a document that may be asked for."""
    return [one for one in sentences(document.text) if MIN_CHARACTERS <= len(one) <= MAX_CHARACTERS]


def _next_sentences(documents: list[Document], near: bool, seed: int) -> Iterator[Candidate]:
    usable = {document.id: _usable(document) for document in documents}
    several = len({document.source for document in documents}) > 1
    for document in documents:
        others = [
            sentence
            for other in documents
            if other.id != document.id and (near or not several) == (other.source == document.source)
            for sentence in usable[other.id]
            if sentence not in document.text
        ]
        before = ""
        for sentence in sentences(document.text):
            if before.strip() and MIN_CHARACTERS <= len(sentence) <= MAX_CHARACTERS:
                wrong = nearest_in_length(others, sentence, WRONG, seed, document.id)
                if len(wrong) == WRONG:
                    choices = [f"\n{one}" for one in wrong]
                    item = place_answer(before, f"\n{sentence}", choices, document.id, seed)
                    yield Candidate(item, sentence)
            before = _end_of(f"{before}\n{sentence}".strip())


def _end_of(context: str) -> str:
    """The last lines of ``context``, up to :data:`MAX_CONTEXT` characters of them, but the last line always."""
    lines = context.split("\n")
    while len(lines) > 1 and len("\n".join(lines)) > MAX_CONTEXT:
        lines = lines[1:]
    return "\n".join(lines)


def _clozes(documents: list[Document], seed: int) -> Iterator[Candidate]:
    pool = [
        (document.id, word)
        for document in documents
        for sentence in _usable(document)
        for word in _words(sentence)
    ]
    by_form: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for name, word in pool:
        by_form[_form(word)].append((name, word))
    for document in documents:
        before = ""
        for sentence in _usable(document):
            if hangul_share(sentence) >= MIN_HANGUL_SHARE:
                for place, word in enumerate(sentence.split(" ")):
                    item = _cloze(document, before, sentence, place, word, by_form, seed)
                    if item is not None:
                        yield Candidate(item, sentence)
            before = _end_of(f"{before}\n{sentence}".strip())


def _cloze(
    document: Document,
    before: str,
    sentence: str,
    place: int,
    word: str,
    by_form: dict[tuple[int, str], list[tuple[str, str]]],
    seed: int,
) -> ChoiceItem | None:
    """The item that takes ``word`` out, None where it is no Korean word in mid-sentence or has no rivals."""
    parts = sentence.split(" ")
    if not 0 < place < len(parts) - 1 or not _WORD.fullmatch(word):
        return None
    rivals = {
        other for name, other in by_form[_form(word)] if name != document.id and other not in document.text
    }
    if len(rivals) < WRONG:
        return None
    wrong = sorted(rivals, key=lambda one: rank(seed, document.id, sentence, place, one))[:WRONG]
    head, rest = " ".join(parts[:place]), " ".join(parts[place + 1 :])
    context = f"{before}\n{head}".strip()
    return place_answer(
        context, f" {word} {rest}", [f" {other} {rest}" for other in wrong], document.id, seed, place
    )


_WORD = re.compile(rf"[가-힣]{{{MIN_WORD},}}")


def _words(sentence: str) -> list[str]:
    return [word for word in sentence.split(" ") if _WORD.fullmatch(word)]


def _form(word: str) -> tuple[int, str]:
    """Words of one form fit the same place about equally well: as many syllables, and the same last one."""
    return len(word), word[-1]
