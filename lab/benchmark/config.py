"""What ``experiments.benchmark`` can be asked for. Torch-free."""

from dataclasses import dataclass, field

from lab.checks import require, require_at_least, require_choice

TARGETS = "targets"
SUITES = ("operators", "optimizers", "peers", "growth", TARGETS)


@dataclass
class BenchmarkConfig:
    """``suite`` is one of :data:`SUITES`; :data:`TARGETS` times nothing and reads what the others left.

    Up to ``rounds`` undisturbed rounds are timed of each comparison, on ``threads`` threads (null = all cores).
    ``only``
    keeps comparisons whose name contains one of its words, [] = all. Results lie below ``output`` and are read back
    unless ``fresh`` or the code has changed; ``write`` takes them over into ``lab/benchmark``, with the tables of its
    README and its figure.
    """

    suite: str
    rounds: int
    threads: int | None
    only: list[str] = field(default_factory=list)
    output: str = "runs/benchmark"
    fresh: bool = False
    write: bool = False

    def __post_init__(self) -> None:
        require_choice("suite", self.suite, SUITES)
        require_at_least("benchmark", 1, rounds=self.rounds, threads=self.threads)
        require(bool(self.output), "output", repr(self.output), "it must be a folder")
