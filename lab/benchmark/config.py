"""What ``experiments.benchmark`` can be asked for. Torch-free."""

from dataclasses import dataclass, field

from lab.checks import require, require_at_least, require_choice

SUITES = ("operators", "peers", "growth")


@dataclass
class BenchmarkConfig:
    """``suite`` is one of :data:`SUITES`.

    ``rounds`` undisturbed rounds are wanted of each comparison, on ``threads`` threads (null = all cores). ``only``
    keeps comparisons whose name contains one of its words, [] = all. Results lie below ``output`` and are read back
    unless ``fresh``; ``write`` renews the tables of ``lab/benchmark/README.md``.
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
