"""Time our operators, training steps and decoding against their twins, against transformers, against the machine.

    python -m experiments.benchmark
    python -m experiments.benchmark peers
    python -m experiments.benchmark suite=peers "only=[k_exaone]" rounds=5

Each case has a process of its own; rounds take turns and disturbed ones are dropped, so the machine should do nothing
else. A suite that was stopped goes on where it was.
"""

import sys

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.benchmark.config import BenchmarkConfig
from lab.config import typed


def show_benchmark(container: DictConfig, overrides: list[str]) -> None:
    """Run a suite and print its table."""
    config: BenchmarkConfig = typed(container, BenchmarkConfig)
    from lab.benchmark.document import write_document  # torch, once the settings are known to be good
    from lab.benchmark.run import run_suite
    from lab.benchmark.tables import comparison_table
    from lab.report.tables import to_console

    console = Console()
    with console.status("starting") as status:
        results = run_suite(config, lambda said: status.update(said))
    console.print(to_console(comparison_table(results, config.suite), console.width))
    if config.write:
        console.print(f"written: {write_document(config.suite, results)}")


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].isalpha():  # the suite may stand first as a word of its own
        sys.argv[1] = f"suite={sys.argv[1]}"
    run_command(show_benchmark, "benchmark")
