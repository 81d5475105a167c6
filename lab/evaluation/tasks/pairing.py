"""Korean-English pairing: which message of a catalogue says the same in the other language?"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from lab.data.document import Pair
from lab.data.exercises import is_pairable, pair_context
from lab.evaluation.items import Candidate, ChoiceItem, draw_items
from lab.evaluation.tasks.task import HeldOutText, nearest_in_length, place_answer, rank

WRONG = 3


def pairing(source: str, target: str, text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """From a message in language ``source`` to the one in ``target``; wrong ones are of the same catalogue."""
    usable = [pair for pair in text.pairs("held_out") if is_pairable(pair)]
    return draw_items(_candidates(usable, source, target, seed), num_items, seed)


ko_to_en = partial(pairing, "ko", "en")
en_to_ko = partial(pairing, "en", "ko")


def _candidates(pairs: list[Pair], source: str, target: str, seed: int) -> Iterator[Candidate]:
    by_catalogue: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_catalogue[pair.source].append(pair)
    for pair in sorted(pairs, key=lambda one: rank(seed, one.source, one.ko)):
        given, right = getattr(pair, source), getattr(pair, target)
        others = [
            getattr(other, target) for other in by_catalogue[pair.source] if getattr(other, source) != given
        ]
        wrong = nearest_in_length(others, right, WRONG, seed, given)
        if len(wrong) == WRONG:
            context = pair_context(given, source, target)
            item = place_answer(context, f" {right}", [f" {one}" for one in wrong], pair.group, seed)
            yield Candidate(item, given)
