"""Items that a seed writes: arithmetic in words, keys to be found in long text, associations to be recalled.

What is asked for is reserved, see :mod:`lab.data.exercises`: no model that was trained on exercises has met it.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

from lab.data.exercises import (
    ask_key,
    draw_associations,
    draw_keys,
    draw_problem,
    list_associations,
)
from lab.evaluation.items import ChoiceItem
from lab.evaluation.korean import sentences
from lab.evaluation.tasks.task import HeldOutText, documents_of, rank

CHOICES = 4
SHOTS = 3
"""Solved problems before the one that is asked, so that a model that only continues text knows the form."""

ONES, TENS = (1, 2, 3), (10, 20)
"""By how much wrong results are off: in the last digit, in what stands before it, or in both."""

HAYSTACKS = (100, 300, 1200)
"""Characters of Korean text around the keys, in turn: from what a short window holds to about a thousand tokens."""

LISTED = 8
"""Associations in a list."""


def arithmetic(language: str, text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """One operation on numbers up to 99 after :data:`SHOTS` solved ones; wrong results share digits with it."""
    return _written(partial(_problem, language), f"arithmetic_{language}", num_items, seed)


arithmetic_ko = partial(arithmetic, "ko")
arithmetic_en = partial(arithmetic, "en")


def associative_recall(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Eight syllables, each with a number, and one of the syllables again: which number went with it?

    The wrong numbers are others of the list. After Arora et al., "Zoology" (arXiv 2312.04927).
    """
    return _written(_recall, "associative_recall", num_items, seed)


def key_retrieval_ko(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Four sentences that each give a tree a number, spread over held-out sentences; one number is asked for.

    The wrong numbers are those of the other trees. One number stands in each quarter of the text, and
    the right one in each quarter equally often.
    """
    pool = [
        sentence
        for document in documents_of(text, "ko", seed)
        for sentence in sentences(document.text)
        if 15 <= len(sentence) <= 160
    ]
    if sum(map(len, pool)) < max(HAYSTACKS):
        return ()
    return _written(partial(_haystack, pool), "key_retrieval_ko", num_items, seed)


Write = Callable[[random.Random, int], tuple[str, list[str]]]
"""From a source of chance and the answer's number to a context and choices, the right one first."""


def _written(write: Write, name: str, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """``num_items`` different items, as many with each place of the answer."""
    made: dict[str, ChoiceItem] = {}
    for number in range(num_items // CHOICES * CHOICES):
        for attempt in range(100):
            draw = random.Random(rank(seed, name, number, attempt))
            context, (right, *wrong) = write(draw, number)
            if context not in made:
                break
        place = number % CHOICES
        made[context] = ChoiceItem(
            context, (*wrong[:place], right, *wrong[place:]), place, f"{name}/{number}"
        )
    return tuple(made.values())


def _problem(language: str, draw: random.Random, number: int) -> tuple[str, list[str]]:
    """The choices are two last digits with two other beginnings: who prefers any digits is right in one of four."""
    up, right = (1 if number // CHOICES % CHOICES & bit else -1 for bit in (1, 2))
    while True:
        shown = [draw_problem(draw, language, reserved=False) for _ in range(SHOTS)]
        question, result = draw_problem(draw, language, reserved=True)
        ones, tens = right * draw.choice(ONES), up * draw.choice(TENS)
        values = [result, result + ones, result + tens, result + ones + tens]
        of_one_length = len({len(str(abs(value))) for value in values}) == 1 and min(values) >= 10
        if of_one_length and (result + ones) // 10 == result // 10:
            break
    context = "\n".join([*(f"{words} {value}" for words, value in shown), question])
    wrong = draw.sample(values[1:], CHOICES - 1)
    return context, [f" {value}" for value in (result, *wrong)]


def _recall(draw: random.Random, number: int) -> tuple[str, list[str]]:
    keys, values = draw_associations(draw, LISTED, reserved=True)
    asked = draw.randrange(LISTED)
    wrong = draw.sample([value for value in values if value != values[asked]], CHOICES - 1)
    context = f"{list_associations(keys, values)} {keys[asked]}"
    return context, [f" {value}" for value in (values[asked], *wrong)]


def _haystack(pool: list[str], draw: random.Random, number: int) -> tuple[str, list[str]]:
    text = list(_until(pool, HAYSTACKS[number // CHOICES**2 % len(HAYSTACKS)], draw))
    trees, numbers = draw_keys(draw, reserved=True)
    lines = [f"{ask_key(tree)} {value}" for tree, value in zip(trees, numbers, strict=True)]
    order = [*range(1, CHOICES)]
    order.insert(
        number // CHOICES % CHOICES, 0
    )  # the one that is asked for is first, second, third and last in turn
    depths = [int((quarter + draw.random()) * len(text) / CHOICES) for quarter in range(CHOICES)]
    for depth, line in reversed([*zip(depths, order, strict=True)]):
        text.insert(depth, lines[line])
    return "\n".join([*text, ask_key(trees[0])]), [f" {value}" for value in numbers]


def _until(pool: list[str], characters: int, draw: random.Random) -> Iterator[str]:
    """Different sentences of ``pool`` in random order, ``characters`` of them or a sentence more."""
    size = 0
    for sentence in draw.sample(pool, len(pool)):
        if size >= characters:
            return
        size += len(sentence) + 1
        yield sentence
