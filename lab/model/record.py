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
