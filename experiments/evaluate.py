"""Measure a checkpoint: bits per byte by position, and tasks made from held-out text.

python -m experiments.evaluate checkpoint=runs/first_race/k_exaone-s0 baseline=untrained
python -m experiments.evaluate checkpoint=released/model evaluation=quick format=json
python -m experiments.evaluate export=harness_tasks
python -m experiments.evaluate catalogue=show
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.command import run_command
from lab.config import typed
from lab.data.config import DataConfig
from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.trainer.config import TrackerConfig

if TYPE_CHECKING:
    from lab.evaluation.suite import Watch

FORMATS = ("table", "markdown", "json")


@dataclass
class EvaluateSettings:
    """See ``conf/evaluate.yaml``; one of ``checkpoint``, ``export`` and ``catalogue`` is given."""

    checkpoint: str | None
    baseline: str | None
    control: int
    export: str | None
    catalogue: str | None
    evaluation: SuiteConfig
    tracker: TrackerConfig
    format: str
    device: str
    output: str
    name: str | None
    fresh: bool
    data: DataConfig | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"format={self.format} is unknown: it can be {', '.join(FORMATS)}.")
        if self.catalogue not in (None, "show", "pin"):
            raise ConfigError(f"catalogue={self.catalogue} is unknown: it can be show or pin.")
        if self.checkpoint is None and self.export is None and self.catalogue is None:
            raise ConfigError("checkpoint is missing: it must be a folder with a trained model.")
        if self.export is not None and Path(self.export).exists():
            raise ConfigError(
                f"export={self.export} cannot be used: it must be a folder that does not exist yet."
            )
        if self.control < 0 or (self.control and self.baseline != "untrained"):
            raise ConfigError(
                f"control={self.control} cannot be used: it must be 0, or with baseline=untrained a number of models."
            )
        for key, folder in (("checkpoint", self.checkpoint), ("baseline", self.baseline)):
            if folder not in (None, "untrained") and not Path(str(folder)).is_dir():
                raise ConfigError(f"{key}={folder} cannot be used: it must be a folder with a trained model.")


def evaluate_checkpoint(container: DictConfig, overrides: list[str]) -> None:
    """Measure or export, then print tables or JSON; progress goes to standard error."""
    settings: EvaluateSettings = typed(container, EvaluateSettings)
    if settings.catalogue is not None:
        _catalogue(settings)
    if settings.export is not None:
        from lab.evaluate import export

        export(settings.checkpoint, settings.data, settings.evaluation, Path(settings.export), _say)
        return
    if settings.checkpoint is not None:
        _measure(settings, settings.checkpoint)


def _measure(settings: EvaluateSettings, checkpoint: str) -> None:
    from lab.evaluate import Job, evaluate

    with _bars() as watch:
        where = Path(settings.output), settings.name, settings.fresh
        asked = settings.data, settings.evaluation, settings.tracker, settings.device
        job = Job(checkpoint, settings.baseline, settings.control, *asked, *where)
        folder, results = evaluate(job, watch, _say)
    if settings.format == "json":
        print(json.dumps(results, ensure_ascii=False))
        return
    from lab.report.evaluation import bits_table, tasks_table
    from lab.report.tables import to_console, to_markdown

    console = Console()
    for section, build in (("bits_per_byte", bits_table), ("tasks", tasks_table)):
        if results[section] and settings.format == "markdown":
            print(to_markdown(build(results)))
        elif results[section]:
            console.print(to_console(build(results), console.width))
    _say(f"results: {folder / 'results.json'}")


def _catalogue(settings: EvaluateSettings) -> None:
    """Print the tasks that there are; ``pin`` first writes down the items that the default corpus gives them."""
    from lab.evaluation.tasks.catalogue import TASKS
    from lab.evaluation.tasks.pins import read_pins
    from lab.report.evaluation import catalogue_table
    from lab.report.tables import to_markdown

    if settings.catalogue == "pin":
        from lab.evaluate import pin

        pin(settings.evaluation, _say)
    print(to_markdown(catalogue_table(TASKS.values(), read_pins())), end="")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


@contextmanager
def _bars() -> Iterator["Watch"]:
    """One bar a part that is being measured."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def watch(name: str):  # type: ignore[no-untyped-def]
            bar = progress.add_task(name, total=None)

            def update(done: int, total: int) -> None:
                progress.update(bar, completed=done, total=total, visible=done < total)

            return update

        yield watch


if __name__ == "__main__":
    run_command(evaluate_checkpoint, "evaluate")
