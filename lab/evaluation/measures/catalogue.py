"""Every measure by name. Torch-free: a function is imported when it is called.

A measure is a function ``(model, corpus, config, trained_length) -> figures`` in a file of its own; figures are plain
data and stand in ``results.json`` under ``measures.<name>``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.checks import require_choice


@dataclass(frozen=True)
class Measure:
    """``path`` is the function, ``package.module:name``; what it reads is ``reach`` trained lengths long.

    ``data`` says what the model must have been trained on: ``texts``, or the kind of a task.
    """

    path: str
    reach: int = 1
    data: str = "texts"


MEASURES = {
    "gate_rank": Measure("lab.evaluation.measures.gate_rank:gate_rank"),
    "recall": Measure("lab.evaluation.measures.recall:recall", data="recall"),
    "long_context": Measure("lab.evaluation.measures.long_context:long_context", reach=8),
    "samples": Measure("lab.evaluation.measures.samples:samples"),
}
"""What ``evaluation.measures`` may name."""


def check_measures(names: Sequence[str]) -> None:
    """Raise :class:`~lab.errors.ConfigError` for a name that :data:`MEASURES` lacks."""
    for name in names:
        require_choice("evaluation.measures", name, list(MEASURES))
