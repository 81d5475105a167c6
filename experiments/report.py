"""A sweep, or a folder of runs, as one self-contained HTML file, and as a W&B Report where a key is found.

python -m experiments.report sweep=runs/position_by_layer
python -m experiments.report runs=runs/train language=ko
python -m experiments.report sweep=runs/position_by_layer wandb=only
"""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from omegaconf import DictConfig

from experiments.command import run_command
from lab.checks import require_choice
from lab.config import typed
from lab.errors import ConfigError
from lab.overrides import CONF

LANGUAGES = ("en", "ko", "both")
WANDB = ("auto", "off", "only")


@dataclass
class ReportSettings:
    """What to report on and how; ``conf/report.yaml`` says what each setting does."""

    sweep: str | None
    runs: str | None
    language: str
    output: str | None
    wandb: str

    def __post_init__(self) -> None:
        require_choice("language", self.language, LANGUAGES)
        require_choice("wandb", self.wandb, WANDB)
        if (self.sweep is None) == (self.runs is None):
            raise ConfigError(
                "sweep and runs: give one of them, for example sweep=runs/position_by_layer or runs=runs/train."
            )
        if self.output is not None and not self.output.endswith(".html"):
            raise ConfigError(f"output={self.output} cannot be used: it must end in .html.")


def write_report(container: DictConfig, overrides: list[str]) -> None:
    """Write the page and save the W&B Report, each unless the settings say otherwise; prints where they are."""
    settings: ReportSettings = typed(container, ReportSettings)
    from lab.files import write_text
    from lab.report.language import Language
    from lab.report.page_writer import page
    from lab.report.runs_page import runs_report
    from lab.report.sweep_page import sweep_report
    from lab.report.sweeps import read_sweep
    from lab.report.wandb_report import LeftOut, save

    language = cast(Language, settings.language)
    if settings.sweep is not None:
        sweep = read_sweep(settings.sweep)
        folder, report = Path(settings.sweep), sweep_report(sweep, command_of(sweep.name))
    else:
        folder, report = Path(str(settings.runs)), runs_report(str(settings.runs))
    if settings.wandb != "only":
        path = Path(settings.output) if settings.output else folder / "report.html"
        try:
            write_text(path, page(report, language))
        except OSError as error:
            raise ConfigError(
                f"output={path} cannot be written ({error.strerror}): set output to a file in a folder that exists."
            ) from error
        print(f"report: {path.resolve()}")
    if settings.wandb == "off":
        return
    try:
        print(f"W&B Report: {save(report, language)}")
    except LeftOut as reason:
        if settings.wandb == "only":
            raise ConfigError(f"wandb=only cannot be done: {reason}.") from None
        print(f"The W&B Report was left out: {reason}.")


def command_of(name: str) -> str:
    """What runs the sweep called ``name``, where that is the name of an ablation."""
    known = (CONF / "ablation" / f"{name}.yaml").is_file()
    return f"python -m experiments.train -m ablation={name}" if known else ""


if __name__ == "__main__":
    run_command(write_report, "report")
