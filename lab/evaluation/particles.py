"""Two probes of Korean case particles, made from sentences of held-out documents.

``object_particle``: 을 or 를 after the same noun; right is what the noun's last syllable demands. It asks
whether a model sees the consonants inside of its tokens.

``particle_role``: 을/를, 의, 에 or 으로/로, each in the form that fits the noun; right is the one that was
written. It asks what the noun does in the sentence, which the words after it tell.
"""

from collections.abc import Callable, Iterator, Sequence

from lab.data.document import Document, hangul_share
from lab.evaluation.items import Candidate, ChoiceItem, Probe, draw_items
from lab.evaluation.korean import CASES, OBJECT, Occurrence, case_particles, sentences

MIN_CHARACTERS, MAX_CHARACTERS = 15, 80
"""Length of the sentences that are asked about."""

MIN_HANGUL_SHARE = 0.6
"""Sentences with fewer hangul syllables are mostly names, numbers or code."""

Choices = Callable[[str, Occurrence], tuple[tuple[str, ...], int] | None]
"""From a sentence and a particle in it to the forms to choose from and the right one's place."""


def particle_probes(documents: Sequence[Document], num_items: int, seed: int) -> list[Probe]:
    """Both probes with up to ``num_items`` items each, from Korean ``documents``; ``seed`` says which."""
    kinds: dict[str, Choices] = {"object_particle": allomorphs, "particle_role": roles}
    return [
        Probe(name, num_items, draw_items(candidates(documents, choices), num_items, seed))
        for name, choices in kinds.items()
    ]


def allomorphs(sentence: str, found: Occurrence) -> tuple[tuple[str, ...], int] | None:
    """Both forms of the object particle."""
    if found.particle is not OBJECT:
        return None
    forms = (OBJECT.after_consonant, OBJECT.after_vowel)
    return forms, forms.index(sentence[found.start : found.end])


def roles(sentence: str, found: Occurrence) -> tuple[tuple[str, ...], int] | None:
    """One form of every case, where more words follow."""
    if " " not in sentence[found.end :]:
        return None
    stem = sentence[: found.start]
    return tuple(particle.form(stem) for particle in CASES), CASES.index(found.particle)


def candidates(documents: Sequence[Document], choices: Choices) -> Iterator[Candidate]:
    """Every item that ``choices`` makes of ``documents``."""
    for document in documents:
        for sentence in sentences(document.text):
            long_enough = MIN_CHARACTERS <= len(sentence) <= MAX_CHARACTERS
            if not long_enough or hangul_share(sentence) < MIN_HANGUL_SHARE:
                continue
            for found in case_particles(sentence):
                offered = choices(sentence, found)
                if offered is not None:
                    forms, answer = offered
                    rest = sentence[found.end :]
                    item = ChoiceItem(
                        sentence[: found.start], tuple(form + rest for form in forms), answer, document.id
                    )
                    yield Candidate(item, sentence)
