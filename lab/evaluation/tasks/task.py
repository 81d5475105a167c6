"""What a task is: a stated construction that turns held-out text into multiple-choice items.

Every item has a ``context`` that ends at a word and choices that begin with the white space after it, so that
any tokenizer cuts between the two, and what follows the context can be scored on its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate
from typing import Literal, Protocol

from lab.data.document import Document, Pair
from lab.errors import ConfigError
from lab.evaluation.items import ChoiceItem, Probe

MAX_CHARACTERS = 150_000
"""Text that a construction reads at most: enough for hundreds of items, made in seconds."""

MAX_DOCUMENT_CHARACTERS = MAX_CHARACTERS // 8
"""What is read of one document, so that a single long one is not all there is."""


class HeldOutText(Protocol):
    """What constructions read; :class:`lab.data.corpus.Corpus` is one."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that there are documents in."""

    def held_out(self, language: str) -> list[Document]:
        """Documents of ``language`` that were never trained on."""

    def pairs(self, split: str) -> list[Pair]:
        """Aligned Korean and English messages of ``split``."""


Score = Literal["per_byte", "information"]
"""How choices are compared; :mod:`lab.evaluation.scoring` has the equations."""

Build = Callable[[HeldOutText, int, int], Sequence[ChoiceItem]]
"""From text, the number of items wanted and a seed to items, fewer or none where the text holds no more."""


@dataclass(frozen=True)
class TaskKind:
    """One task: the ability it asks for, how its items are made, and how many choices each has.

    ``synthetic`` items need no corpus. ``score`` is how choices are compared.
    ``max_items`` bounds a task whose items are long. ``version`` is raised when the construction changes.
    """

    name: str
    ability: str
    construction: str
    choices: int
    language: str
    build: Build
    score: Score = "per_byte"
    synthetic: bool = False
    max_items: int | None = None
    version: int = 1

    @property
    def chance(self) -> float:
        """Accuracy of a blind guess: answers are equally often at each place."""
        return 1 / self.choices


def make_task(kind: TaskKind, text: HeldOutText, num_items: int, seed: int) -> Probe | None:
    """The items of ``kind`` from ``text``; None where the text holds none, such as pairs in a plain folder."""
    num_items = min(num_items, kind.max_items or num_items)
    items = tuple(kind.build(text, num_items, seed))
    for item in items:
        require_choices(item)
    return Probe(kind.name, num_items, items) if items else None


def require_choices(item: ChoiceItem) -> None:
    """Raise :class:`ConfigError` for an item that asks nothing: one choice, equal or empty ones, no such answer."""
    if len(item.choices) < 2:
        raise ConfigError(
            f"An item from {item.document} has {len(item.choices)} choice: it must offer at least 2."
        )
    if len(set(item.choices)) < len(item.choices) or not all(choice.strip() for choice in item.choices):
        raise ConfigError(f"An item from {item.document} has empty or equal choices: all must differ.")
    if not 0 <= item.answer < len(item.choices):
        raise ConfigError(
            f"An item from {item.document} has answer={item.answer}: it must be from 0 to {len(item.choices) - 1}."
        )


def documents_of(text: HeldOutText, language: str, seed: int) -> list[Document]:
    """Held-out documents of ``language`` that hold any text, in hashed order, up to :data:`MAX_CHARACTERS`."""
    if language not in text.languages:
        return []
    documents = [
        replace(document, text=document.text[:MAX_DOCUMENT_CHARACTERS])
        for document in text.held_out(language)
        if document.text.strip()
    ]
    documents.sort(key=lambda document: rank(seed, document.id))
    read = accumulate(len(document.text) for document in documents)
    return [one for one, characters in zip(documents, read, strict=True) if characters <= MAX_CHARACTERS]


def rank(*parts: object) -> str:
    """A hash of ``parts``: sorting by it is a shuffle that every machine repeats."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()


def place_answer(context: str, right: str, wrong: Sequence[str], document: str, *salt: object) -> ChoiceItem:
    """An item with ``right`` at a place among ``wrong`` that a hash decides."""
    place = int(rank("place", document, context, *salt), 16) % (len(wrong) + 1)
    return ChoiceItem(context, (*wrong[:place], right, *wrong[place:]), place, document)


def at_word_boundary(item: ChoiceItem) -> ChoiceItem:
    """``item`` with the beginning of an unfinished word moved from its context into every choice."""
    kept = item.context.rstrip()
    last_blank = max(item.context.rfind(" "), item.context.rfind("\n"), 0)
    head = kept if kept != item.context else item.context[:last_blank]
    tail = item.context[len(head) :]
    return replace(item, context=head, choices=tuple(tail + choice for choice in item.choices))


def nearest_in_length(pool: Sequence[str], text: str, count: int, *salt: object) -> list[str]:
    """``count`` different texts of ``pool`` whose lengths in bytes are nearest to that of ``text``.

    How many of them are longer is any number up to ``count``, by a hash and as far as there are such texts, so that
    taking the shortest, the longest or one between gains nothing.
    """
    size = len(text.encode())
    others = sorted(set(pool) - {text}, key=lambda one: (abs(len(one.encode()) - size), rank(*salt, one)))
    longer = int(rank("longer", *salt, text), 16) % (count + 1)
    chosen = [one for one in others if len(one.encode()) > size][:longer]
    chosen += [one for one in others if len(one.encode()) <= size][: count - len(chosen)]
    chosen += [one for one in others if one not in chosen][: count - len(chosen)]
    return sorted(chosen, key=lambda one: rank("order", *salt, one))
