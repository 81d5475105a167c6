"""Korean particle choice: the race's probes, cut before the word so that any tokenizer can be asked."""

from dataclasses import replace

from lab.evaluation.items import ChoiceItem, draw_items
from lab.evaluation.particles import Choices, allomorphs, candidates, roles
from lab.evaluation.tasks.task import HeldOutText, at_word_boundary, documents_of


def object_particle(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Both forms of the object particle after the same noun; right is the one that its last sound demands."""
    return _items(text, num_items, seed, allomorphs)


def particle_role(text: HeldOutText, num_items: int, seed: int) -> tuple[ChoiceItem, ...]:
    """Four cases of the same noun, each in its right form; right is the one that was written."""
    return _items(text, num_items, seed, roles)


def _items(text: HeldOutText, num_items: int, seed: int, choices: Choices) -> tuple[ChoiceItem, ...]:
    offered = (
        replace(candidate, item=at_word_boundary(candidate.item))
        for candidate in candidates(documents_of(text, "ko", seed), choices)
        if " " in candidate.item.context
    )
    return draw_items(offered, num_items, seed)
