"""What a budget, a cluster and a deadline can train: size, tokens, layout, days and won, each as a range.

python -m experiments.plan cluster=b200_768 deadline_days=150 budget_krw=24e9
python -m experiments.plan model=motif_3 tokens=12.5e12 budget_krw=24e9 figures=figures
"""

import json
import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from experiments.command import run_command
from lab.config import compose, typed
from lab.errors import ConfigError
from lab.planner.describe import as_data, goodput, plan_lines, plan_table
from lab.planner.export import free_overrides, train_command
from lab.planner.plans import Candidate, Request
from lab.planner.search import Found, free_sizes, search
from lab.planner.settings import PlanSettings
from lab.planner.training import sketch
from lab.report.contenders import BASELINE, KNOWN
from lab.report.tables import to_console, to_markdown


def candidates(settings: PlanSettings, overrides: list[str], named: bool) -> list[Candidate]:
    """The model asked for, or every contender and a ladder of plain sizes."""
    if settings.total is not None:
        if named:
            raise ConfigError(
                f"total={settings.total:g} and a model cannot both be given: total plans a plain model of that size."
            )
        plain = sketch(settings.total, settings.active or settings.total, name="plain")
        return [Candidate(f"plain {settings.total / 1e9:g}B", plain, free_overrides(plain))]
    if named:
        chosen = tuple(overrides)
        return [Candidate((model := compose(chosen).model).name, model, chosen)]
    pairs = [(name, (f"model={name}", "scale=published")) for name in KNOWN if name != BASELINE]
    return [*(Candidate(name, compose(chosen).model, chosen) for name, chosen in pairs), *free_sizes()]


def show_plan(container: DictConfig, overrides: list[str]) -> None:
    """Print the plan."""
    named = container.get("model") is not None
    own = [key for key in map(str, container) if key not in ("model", "scale")]
    settings: PlanSettings = typed(OmegaConf.masked_copy(container, own), PlanSettings)
    request = settings.request()
    of_model = [word for word in overrides if re.match(r"[~+]*(model\b|scale\.)", word)]
    found = search(request, candidates(settings, [f"scale={container.scale.name}", *of_model], named))
    if settings.figures is not None:
        import lab.planner.plots as plots

        try:
            plots.write_figures(found, request, Path(settings.figures))
        except OSError as error:
            raise ConfigError(
                f"figures={settings.figures} cannot be written ({error.strerror}): it must be a folder "
                "that can be made."
            ) from None
    show(found, request, settings.format)


def show(found: Found, request: Request, form: str) -> None:
    """Print ``found`` in one of ``FORMATS``."""
    if form == "json":
        print(json.dumps(as_data(found, request)))
    elif form == "train":
        print(train_command(found.recommended, goodput(found.recommended, request)))
    elif form == "markdown":
        print(to_markdown(plan_table(found)), end="")
    else:
        console = Console()
        console.print(to_console(plan_table(found), console.width), "")
        for line in (*plan_lines(found, request), *(f"Refused: {why}" for why in found.refused.values())):
            console.print(line, highlight=False)


if __name__ == "__main__":
    run_command(show_plan, "plan")
