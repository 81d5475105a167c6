"""Every task there is, in the order in which they are run and shown."""

from collections.abc import Iterable

from lab.errors import ConfigError
from lab.evaluation.tasks import pairing, particle, passages, spelling, synthetic
from lab.evaluation.tasks.task import TaskKind

_KINDS = (
    TaskKind(
        "object_particle",
        "hears the last sound of a noun",
        "a held-out sentence up to a noun with 을 or 를; the noun with either, then the rest of the sentence",
        2,
        "ko",
        particle.object_particle,
    ),
    TaskKind(
        "particle_role",
        "knows what a noun does in the sentence",
        "a held-out sentence up to a noun with 을/를, 의, 에 or 으로/로; the noun with each, then the rest",
        4,
        "ko",
        particle.particle_role,
    ),
    TaskKind(
        "next_sentence_ko",
        "follows a text",
        "up to 400 characters of a held-out document; its next sentence, or ones from documents of other sources with "
        "the nearest lengths",
        4,
        "ko",
        passages.next_sentence_ko,
        "information",
    ),
    TaskKind(
        "next_sentence_en",
        "follows a text",
        "the same in English",
        4,
        "en",
        passages.next_sentence_en,
        "information",
    ),
    TaskKind(
        "near_sentence_ko",
        "follows a text closely",
        "the same in Korean with wrong sentences of the same source, a law among laws",
        4,
        "ko",
        passages.near_sentence_ko,
        "information",
    ),
    TaskKind(
        "article_cloze",
        "knows which word fits",
        "a word out of the middle of a held-out sentence, then the rest; wrong words stand in other documents, have "
        "as many syllables and end in the same one",
        4,
        "ko",
        passages.article_cloze,
    ),
    TaskKind(
        "pairing_ko_en",
        "ties Korean to English",
        "a held-out Korean message; its English original, or others of the same catalogue with the nearest lengths",
        4,
        "ko, en",
        pairing.ko_to_en,
        "information",
    ),
    TaskKind(
        "pairing_en_ko",
        "ties English to Korean",
        "the same from English to Korean",
        4,
        "ko, en",
        pairing.en_to_ko,
        "information",
    ),
    TaskKind(
        "hangul_spelling",
        "spells",
        "a word of a held-out sentence, then the rest; in the wrong one a vowel is another that it is taken for "
        "(ㅏㅓ, ㅐㅔ, ㅗㅜ, ㅙㅞ, ㅡㅣ, ㅑㅕ, ㅛㅠ), and no held-out document has that word",
        2,
        "ko",
        spelling.hangul_spelling,
    ),
    TaskKind(
        "arithmetic_ko",
        "calculates",
        "three solved problems in words, then one of +, - (numbers up to 99) or × (up to 9); wrong results are off "
        "in the last digit, in the one before it, or in both",
        4,
        "ko",
        synthetic.arithmetic_ko,
        synthetic=True,
        version=2,
    ),
    TaskKind(
        "arithmetic_en",
        "calculates",
        "the same in English",
        4,
        "en",
        synthetic.arithmetic_en,
        synthetic=True,
        version=2,
    ),
    TaskKind(
        "key_retrieval_ko",
        "finds a fact in a long text",
        "100, 300 and 1,200 characters in turn of held-out sentences with four lines between them, one in each "
        "quarter, that put an animal into a tree; the animal of one tree, wrong ones are those of the others",
        4,
        "ko",
        synthetic.key_retrieval_ko,
        max_items=192,
        version=2,
    ),
    TaskKind(
        "associative_recall",
        "looks up what it has just read",
        "eight syllables, another with each, then one of the eight; what went with it, wrong ones are others of the "
        "list",
        4,
        "-",
        synthetic.associative_recall,
        synthetic=True,
        version=2,
    ),
)

TASKS = {kind.name: kind for kind in _KINDS}
"""Kinds of task by name."""


def select_tasks(names: Iterable[str] | None) -> list[TaskKind]:
    """The kinds called ``names``, None for all; raises :class:`ConfigError` for a name that there is not."""
    chosen = list(TASKS) if names is None else list(names)
    for name in chosen:
        if name not in TASKS:
            raise ConfigError(f"evaluation.tasks={name} is unknown: it can be {', '.join(TASKS)}.")
    return [TASKS[name] for name in TASKS if name in chosen]
