"""How good is the audit? Pairs of tiny models whose relation is known; tables and plots of what it says of them.

python -m experiments.audit_testbed workers=4
python -m experiments.audit_testbed limit=0
"""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError
from lab.independence.config import AuditConfig


@dataclass
class TestbedSettings:
    """See ``conf/audit_testbed.yaml``."""

    results: str
    readme: str
    limit: int | None
    workers: int
    audit: AuditConfig

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers={self.workers} cannot be used: it must be at least 1.")
        if self.limit is not None and self.limit < 0:
            raise ConfigError(f"limit={self.limit} cannot be used: it must be at least 0.")


def run_testbed(container: DictConfig, overrides: list[str]) -> None:
    """Make the pairs that the results lack, then write tables and plots into the document."""
    settings: TestbedSettings = typed(container, TestbedSettings)
    from lab.independence.testbed.bench import read_outcomes, run_bench
    from lab.report.testbed import write_report

    results = Path(settings.results)
    columns = (TextColumn("pairs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("pairs")
        run_bench(
            results,
            settings.audit,
            settings.limit,
            settings.workers,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    write_report(read_outcomes(results), Path(settings.readme))


if __name__ == "__main__":
    run_command(run_testbed, "audit_testbed")
