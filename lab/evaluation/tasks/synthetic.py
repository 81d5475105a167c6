"""Items that a seed writes: arithmetic in words, facts to be found in long text, associations to be recalled.

What is asked for is reserved, see :mod:`lab.data.exercises`: no model that was trained on exercises has met it.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial

from lab.data.exercises import (
    ask_fact,
    draw_associations,
    draw_facts,
    draw_problem,
    list_associations,
)
from lab.evaluation.items import ChoiceItem
from lab.evaluation.korean import sentences
from lab.evaluation.tasks.task import HeldOutText, documents_of, rank

CHOICES = 4
SHOTS = 3
"""Solved problems before the one that is asked, so that a model that only continues text knows the form."""

ONES, TENS = (-3, -2, -1, 1, 2, 3), (-2, -1, 1, 2)
"""By how much wrong results are off: in the last digit, in the one before it, or in both."""

HAYSTACKS = (100, 300, 1200)
"""Characters of Korean text around the facts, in turn: from what a short window holds to about a thousand tokens."""

LISTED = 8
"""Associations in a list."""


def arithmetic(language: str, text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """One operation on numbers up to 99 after :data:`SHOTS` solved ones; wrong results share digits with it."""
    return _written(partial(_problem, language), f"arithmetic_{language}", num_items, seed)


arithmetic_ko = partial(arithmetic, "ko")
arithmetic_en = partial(arithmetic, "en")


def associative_recall(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Eight syllables, each with another one, and one of them again: which went with it?

    The wrong ones are others of the list. After Arora et al., "Zoology" (arXiv 2312.04927).
    """
    return _written(_recall, "associative_recall", num_items, seed)


def key_retrieval_ko(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Four lines that each put an animal into a tree, spread over held-out sentences; one animal is asked for.

    The wrong ones are those of the other trees. One line stands in each quarter of the text, and the right one in
    each quarter equally often.
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
    """The choices are two last digits with two other beginnings, and which of the four is right is drawn after them.

    So who prefers any digits, or results that are met more often, is right in one of four.
    """
    tens, ones = draw.randint(1, 9), draw.randint(0, 9)
    other_tens, other_ones = tens + draw.choice(TENS), ones + draw.choice(ONES)
    if not (1 <= other_tens <= 9 and 0 <= other_ones <= 9):
        return _problem(language, draw, number)
    values = [10 * first + last for first in (tens, other_tens) for last in (ones, other_ones)]
    right = values.pop(number // CHOICES % CHOICES)
    shown = [draw_problem(draw, language, reserved=False) for _ in range(SHOTS)]
    question = next(words for words, result in _endless_problems(language, draw) if result == right)
    context = "\n".join([*(f"{words} {value}" for words, value in shown), question])
    return context, [f" {value}" for value in (right, *draw.sample(values, CHOICES - 1))]


def _endless_problems(language: str, draw: random.Random) -> Iterator[tuple[str, int]]:
    while True:
        yield draw_problem(draw, language, reserved=True)


def _recall(draw: random.Random, number: int) -> tuple[str, list[str]]:
    listed = draw_associations(draw, LISTED, reserved=True)
    asked, right = draw.choice(listed)
    wrong = draw.sample([value for _, value in listed if value != right], CHOICES - 1)
    return f"{list_associations(listed)} {asked}", [f" {value}" for value in (right, *wrong)]


def _haystack(pool: list[str], draw: random.Random, number: int) -> tuple[str, list[str]]:
    text = list(_until(pool, HAYSTACKS[number // CHOICES**2 % len(HAYSTACKS)], draw))
    facts = draw_facts(draw, reserved=True)
    order = [*range(1, CHOICES)]
    order.insert(
        number // CHOICES % CHOICES, 0
    )  # the one that is asked for is first, second, third and last in turn
    depths = [int((quarter + draw.random()) * len(text) / CHOICES) for quarter in range(CHOICES)]
    for depth, place in reversed([*zip(depths, order, strict=True)]):
        tree, animal = facts[place]
        text.insert(depth, f"{ask_fact(tree)} {animal}")
    return "\n".join([*text, ask_fact(facts[0][0])]), [f" {animal}" for _, animal in facts]


def _until(pool: list[str], characters: int, draw: random.Random) -> Iterator[str]:
    """Different sentences of ``pool`` in random order, ``characters`` of them or a sentence more."""
    size = 0
    for sentence in draw.sample(pool, len(pool)):
        if size >= characters:
            return
        size += len(sentence) + 1
        yield sentence
