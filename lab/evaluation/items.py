"""Multiple-choice items, and a fair draw of them. Torch-free."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from operator import itemgetter

from lab.errors import ConfigError


@dataclass(frozen=True)
class ChoiceItem:
    """One question: which of ``choices`` follows ``context``? ``document`` is the id of its source."""

    context: str
    choices: tuple[str, ...]
    answer: int
    document: str


@dataclass(frozen=True)
class Probe:
    """Items that ask for one ability. ``requested`` items were asked for; held-out text may hold fewer."""

    name: str
    requested: int
    items: tuple[ChoiceItem, ...]

    def __post_init__(self) -> None:
        if not self.items:
            raise ConfigError(
                f"evaluation.num_items={self.requested} cannot be used: the held-out documents hold no "
                f"item for the probe {self.name}, so that it must be 0, or data.held_out_fraction larger."
            )

    @property
    def chance(self) -> float:
        """Accuracy of a blind guess."""
        return sum(1 / len(item.choices) for item in self.items) / len(self.items)

    @property
    def manifest(self) -> str:
        """SHA-256 over all items: equal manifests ask the same questions in the same order."""
        content = json.dumps([asdict(item) for item in self.items], ensure_ascii=False, sort_keys=True)
        return sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Candidate:
    """An item that may be drawn, and the ``sentence`` that no two items may share."""

    item: ChoiceItem
    sentence: str


def draw_items(candidates: Iterable[Candidate], num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Up to ``num_items`` items, equally many with each place of the answer: favouring one gains nothing.

    A document gives its second item after all others gave their first, and so on. The order within a document
    and between documents is a hash of ``seed`` and the item. A sentence is used once.
    """
    by_answer: dict[int, list[tuple[str, Candidate]]] = defaultdict(list)
    for candidate in candidates:
        item = candidate.item
        key = sha256(f"{seed}/{item.document}/{item.context}/{item.choices}".encode()).hexdigest()
        by_answer[item.answer].append((key, candidate))
        places = range(len(item.choices))
    if not by_answer:
        return ()

    queues = [_documents_in_turn(by_answer[place]) for place in places]
    drawn: list[ChoiceItem] = []
    used: set[str] = set()
    while len(drawn) + len(queues) <= num_items:
        turn: list[ChoiceItem] = []
        for queue in queues:
            found = next((candidate for candidate in queue if candidate.sentence not in used), None)
            if found is None:
                return tuple(drawn)
            used.add(found.sentence)
            turn.append(found.item)
        drawn.extend(turn)
    return tuple(drawn)


def _documents_in_turn(keyed: list[tuple[str, Candidate]]) -> Iterator[Candidate]:
    """All candidates: the one with the lowest key of each document, then the next of each, and so on."""
    seen: Counter[str] = Counter()
    ranked = []
    for key, candidate in sorted(keyed, key=itemgetter(0)):
        ranked.append((seen[candidate.item.document], key, candidate))
        seen[candidate.item.document] += 1
    return (candidate for *_, candidate in sorted(ranked, key=itemgetter(0, 1)))
