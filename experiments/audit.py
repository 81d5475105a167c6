"""Do the weights of one model derive from another's? A verdict for each sub-module and for the whole.

python -m experiments.audit a=runs/first_race/llama-s0 b=runs/first_race/llama-s1
python -m experiments.audit a=released/one b=released/other format=json
"""

import json
import sys
from dataclasses import asdict, dataclass

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError
from lab.independence.config import AuditConfig


@dataclass
class AuditSettings:
    """See ``conf/audit.yaml``."""

    a: str
    b: str
    audit: AuditConfig
    format: str

    def __post_init__(self) -> None:
        if self.format not in ("table", "markdown", "json"):
            raise ConfigError(f"format={self.format} is unknown: it can be table, markdown or json.")


def audit_pair(container: DictConfig, overrides: list[str]) -> None:
    """Compare the two folders and print the verdicts; progress goes to standard error."""
    settings: AuditSettings = typed(container, AuditSettings)
    from lab.independence.audit import audit
    from lab.independence.weights import open_pair

    console = Console(stderr=True)
    with console.status("opening") as status:
        result = audit(
            *open_pair(settings.a, settings.b),
            settings.audit,
            lambda part: status.update(f"testing {part}"),
        )
    if settings.format == "json":
        print(json.dumps(asdict(result), ensure_ascii=False))
        return
    from lab.report.independence import findings_table, remarks, verdicts_table
    from lab.report.tables import to_console, to_markdown

    for table in (verdicts_table(result), findings_table(result)):
        if settings.format == "markdown":
            print(to_markdown(table))
        else:
            Console().print(to_console(table, max(Console().width, 60)))
    for remark in remarks(result):
        print(remark, file=sys.stderr if settings.format == "markdown" else sys.stdout)


if __name__ == "__main__":
    run_command(audit_pair, "audit")
