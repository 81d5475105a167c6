"""What is evaluated: a model with its tokenizer and what must be known of them, whatever folder they came from."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.evaluation.likelihood import LanguageModel, TextTokenizer

UNKNOWN_LENGTH = 1024
"""Taken for the length that a model was trained at where a folder does not say."""


@dataclass(frozen=True)
class Subject:
    """A model on its device. ``digest`` names its weights and tokenizer: equal digests give equal figures.

    ``trained_length`` and ``max_positions`` are in tokens; ``trained_tokens`` is None where it isn't known.
    """

    name: str
    digest: str
    model: LanguageModel
    tokenizer: TextTokenizer
    trained_length: int
    max_positions: int
    trained_tokens: int | None = None


Open = Callable[[], Subject]
"""Opens a subject when it is needed: where every figure is already there, no weights are read."""
