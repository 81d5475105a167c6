"""One thing to time: what it does once, and what is known of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "lab"
MACHINE = "machine"
"""Labels of our own case and of the machine's best matrix product; every other label is an alternative."""


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

    ``arguments`` are JSON-able. A round is the middle time of up to ``repeats`` runs, see
    :func:`lab.benchmark.worker.one_round`. ``warm_ups`` runs come before the one whose peak memory counts; slow work
    that nothing compiles needs none. ``measures`` says that building itself times something, so that nothing else
    may be built meanwhile.
    """

    label: str
    builder: str
    arguments: Mapping[str, Any]
    repeats: int = 5
    warm_ups: int = 1
    measures: bool = False


@dataclass(frozen=True)
class Comparison:
    """``ours`` against each of ``others`` and, where ``against_machine``, against the machine's best product."""

    name: str
    ours: CaseSpec
    others: list[CaseSpec]
    precision: str = "float32"
    against_machine: bool = True

    def specs(self) -> list[CaseSpec]:
        """Every case to time."""
        limit = CaseSpec(MACHINE, "matmul", {"precision": self.precision}, measures=True)
        return [self.ours, *self.others, *([limit] if self.against_machine else [])]
