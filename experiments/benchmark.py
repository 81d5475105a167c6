"""Time our operators, training steps and decoding against their twins, against transformers, against the machine.

    python -m experiments.benchmark
    python -m experiments.benchmark peers
    python -m experiments.benchmark suite=peers "only=[k_exaone]" rounds=7
    python -m experiments.benchmark targets

Each case has a process of its own; rounds take turns and disturbed ones are dropped, so the machine should do nothing
else. A suite that was stopped goes on where it was. ``targets`` times nothing: it holds what the suites found to what
they must show.
"""

import sys
from types import TracebackType

from omegaconf import DictConfig
from rich.console import Console
from rich.status import Status

from experiments.command import run_command
from lab.benchmark.config import TARGETS, BenchmarkConfig
from lab.config import typed


class ConsoleProgress:
    """What is being done: a live line on a terminal, nothing elsewhere; results: a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = console.status("starting") if console.is_terminal else None

    def now(self, said: str) -> None:
        """Replace the live line."""
        if self._status:
            self._status.update(said)

    def done(self, said: str) -> None:
        """Print a line that stays."""
        self._console.print(said, soft_wrap=True, markup=False)

    def __enter__(self) -> "ConsoleProgress":
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()


def show_benchmark(container: DictConfig, overrides: list[str]) -> None:
    """Run a suite and print its table."""
    config: BenchmarkConfig = typed(container, BenchmarkConfig)
    from pathlib import Path  # torch, once the settings are known to be good

    from lab.benchmark.document import results_in, write_document
    from lab.benchmark.run import run_suite
    from lab.benchmark.suites import COMPARISONS
    from lab.benchmark.tables import comparison_table
    from lab.benchmark.targets import targets_table
    from lab.report.tables import to_console

    console, folder = Console(highlight=False), Path(config.output)
    if config.suite == TARGETS:
        table, renewed = targets_table(results_in(folder)), list(COMPARISONS)
    else:
        with ConsoleProgress(Console(stderr=True, highlight=False)) as progress:
            table = comparison_table(run_suite(config, progress))
        renewed = [config.suite]
    console.print(to_console(table, console.width))
    if config.write:
        console.print(f"written: {write_document(folder, renewed)}", soft_wrap=True)


def main() -> None:
    """The command; the suite may stand first as a word of its own."""
    if len(sys.argv) > 1 and sys.argv[1].isalpha():
        sys.argv[1] = f"suite={sys.argv[1]}"
    try:
        run_command(show_benchmark, "benchmark")
    except KeyboardInterrupt:
        print(
            "stopped: the same command goes on after the last comparison that was finished", file=sys.stderr
        )
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
