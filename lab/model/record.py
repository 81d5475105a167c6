"""What a forward pass reports beside its result: never hidden in a module."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Record:
    """What one branch reports.

    ``losses`` are auxiliary scalars, already weighted, to be added to the training loss; ``load [E]`` counts the
    tokens each expert received, None where there are no experts.
    """

    losses: dict[str, Tensor] = field(default_factory=dict)
    load: Tensor | None = None

    def merged(self, other: "Record") -> "Record":
        """Both reports as one; at most one of them counts loads."""
        return Record(self.losses | other.losses, self.load if other.load is None else other.load)


def with_record(y: Tensor | tuple[Tensor, Record]) -> tuple[Tensor, Record]:
    """What a mixer or a feed-forward returned, in full: one with nothing to report returns its tensor alone."""
    return y if isinstance(y, tuple) else (y, Record())


@dataclass
class Losses:
    """The parts of a training loss: ``main`` in nats a token, ``auxiliary`` summed by name, ``loads`` a router."""

    main: Tensor
    auxiliary: dict[str, Tensor]
    loads: list[Tensor]

    def total(self) -> Tensor:
        """What is differentiated."""
        total = self.main
        for value in self.auxiliary.values():
            total = total + value
        return total
