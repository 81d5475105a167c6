"""How the next token is chosen: settings that check themselves; no torch, so that a typo is told at once."""

import math
from dataclasses import dataclass

from lab.checks import require
from lab.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; what is not set changes nothing.

    The steps, in the order in which they are taken (that of ``transformers``):

    - ``repetition_penalty`` (CTRL, arXiv 1909.05858): scores of tokens that the prompt or the output holds are divided
      by it where they are positive, multiplied where they are negative; 1 is none.
    - ``temperature`` divides the scores; 0 takes the most probable token (greedy), and the rest is not looked at.
    - ``top_k`` keeps that many of the most probable tokens (arXiv 1805.04833); 0 keeps all.
    - ``top_p`` keeps the fewest most probable tokens that together have this probability (arXiv 1904.09751); 1 keeps
      all.
    - ``min_p`` keeps tokens at least this fraction as probable as the best one (arXiv 2407.01082); 0 keeps all.

    Row i of a batch draws from a generator of its own, seeded with ``seed + i``: its text does not depend on its
    neighbours.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "temperature": (0 <= self.temperature < math.inf, "it must be 0 (greedy) or a number above"),
            "top_k": (self.top_k >= 0, "it must be 0 (all tokens) or a number of tokens"),
            "top_p": (0 < self.top_p <= 1, "it must lie above 0 and be at most 1 (all tokens)"),
            "min_p": (0 <= self.min_p <= 1, "it must lie between 0 (all tokens) and 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, "it must be above 0; 1 is none"),
            "seed": (0 <= self.seed < 2**63, "it must be a whole number from 0 on"),
        }
        for key, (holds, allowed) in checks.items():
            require(holds, key, getattr(self, key), allowed)

    @property
    def is_greedy(self) -> bool:
        """Whether the output is that of the model's own scores, without chance."""
        return self.temperature == 0 and self.repetition_penalty == 1


def require_text(key: str, text: str) -> None:
    """Raise :class:`ConfigError` for a ``text`` that is empty or no valid Unicode (bytes that are no UTF-8)."""
    if not text:
        raise ConfigError(f"{key}='' cannot be used: it must hold at least one character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigError(f"{key}={text!r} cannot be used: it must be valid UTF-8.")
