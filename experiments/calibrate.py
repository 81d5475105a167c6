"""Hold the planner against everything public: counts, step throughput, whole runs.

python -m experiments.calibrate
python -m experiments.calibrate format=markdown
python -m experiments.calibrate write=true

``write=true`` fits anew and writes ``lab/planner/facts/slowdowns.yaml`` and the tables of ``lab/planner/README.md``.
"""

from dataclasses import dataclass
from functools import cache

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import compose, typed
from lab.errors import ConfigError
from lab.files import write_text
from lab.model.config import ModelConfig
from lab.overrides import CONF
from lab.planner import facts
from lab.planner.calibration import calibrate
from lab.planner.calibration_tables import document, placed, slowdowns_yaml, tables
from lab.report.tables import to_console

FORMATS = ("table", "markdown")


@dataclass
class CalibrateSettings:
    """``format`` is one of ``FORMATS``; ``write`` renews the committed fit and tables."""

    format: str
    write: bool

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"format={self.format} is unknown: it can be {', '.join(FORMATS)}.")


@cache
def published_model(name: str) -> ModelConfig:
    """A contender at its published size, or a reference model."""
    if (CONF / "model" / f"{name}.yaml").exists():
        return compose([f"model={name}", "scale=published"]).model
    return facts.reference_model(name)


def show_calibration(container: DictConfig, overrides: list[str]) -> None:
    """Print the three layers, and write them if asked."""
    settings: CalibrateSettings = typed(container, CalibrateSettings)
    found = calibrate(published_model)
    if settings.write:
        write_text(facts.FACTS / "slowdowns.yaml", slowdowns_yaml(found))
        readme = facts.FACTS.parent / "README.md"
        write_text(readme, placed(readme.read_text(encoding="utf-8"), document(found)))
    if settings.format == "markdown":
        print(document(found), end="")
        return
    console = Console()
    for title, table in tables(found).items():
        console.print(f"\n[bold]{title}[/bold]")
        console.print(to_console(table, console.width))


if __name__ == "__main__":
    run_command(show_calibration, "calibrate")
