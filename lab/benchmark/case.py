"""One thing to time: what it does once, and what is known of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """``run`` does the work once.

    ``flops`` are the model FLOPs of one run and ``tokens`` its tokens, where they mean something; ``facts`` are
    further figures that a reader wants beside the time, such as the loss.
    """

    run: Callable[[], Any]
    flops: float | None = None
    tokens: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CaseSpec:
    """How a process of its own builds a case: a name of :data:`lab.benchmark.worker.BUILDERS` and its arguments.

    ``arguments`` are JSON-able. ``repeats`` runs make one round, of which the fastest counts.
    """

    label: str
    builder: str
    arguments: Mapping[str, Any]
    repeats: int = 2
