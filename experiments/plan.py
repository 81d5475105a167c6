"""What a budget, a cluster and a deadline can train: size, tokens, layout, days and won, each as a range.

python -m experiments.plan cluster=b200_768 deadline_days=150 budget_krw=24e9
python -m experiments.plan model=motif_3 tokens=12.5e12 budget_krw=24e9 figures=figures
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from experiments.command import run_command
from lab.checks import require, require_choice
from lab.config import compose, typed
from lab.errors import ConfigError
from lab.planner.config import OPTIMIZERS, PRODUCT_PRECISIONS, BudgetConfig, ClusterConfig
from lab.planner.dates import days_between
from lab.planner.describe import as_data, goodput, plan_lines, plan_table
from lab.planner.export import free_overrides, train_command
from lab.planner.plans import Candidate, Request
from lab.planner.quantity import TOKEN
from lab.planner.scaling import CHINCHILLA_FAMILY
from lab.planner.search import Found, free_sizes, search
from lab.planner.serving import Service
from lab.planner.training import sketch
from lab.report.contenders import BASELINE, KNOWN
from lab.report.tables import to_console, to_markdown

FORMATS = ("table", "markdown", "json", "train")
MOST = {
    "devices": 1e6, "deadline_days": 1e5, "budget_krw": 1e18, "budget_usd": 1e15, "tokens": 1e18, "target_loss": 100,
    "total": 1e18, "active": 1e18, "served_tokens": 1e21, "context": 1e9, "tokens_per_second": 1e6, "sequence": 1e9,
    "batch_tokens": 1e12, "text": 1e18,
}  # fmt: skip
"""What no request goes beyond: past these the answers would be noise."""


@dataclass
class PlanSettings:
    """The settings of ``conf/plan.yaml``, which says what each means; None leaves a bound or a wish out."""

    cluster: ClusterConfig
    budget: BudgetConfig
    devices: int | None
    deadline_days: float | None
    start: str | None
    deadline: str | None
    budget_krw: float | None
    budget_usd: float | None
    tokens: float | None
    target_loss: float | None
    total: float | None
    active: float | None
    served_tokens: float | None
    context: int
    tokens_per_second: float
    sequence: int
    precision: str
    train_optimizer: str
    batch_tokens: float
    text: float
    chance: float
    sweep: str | None
    format: str
    figures: str | None

    def __post_init__(self) -> None:
        for key, most in MOST.items():
            if (value := getattr(self, key)) is not None:
                require(0 < value <= most, key, f"{value:g}", f"it must be above 0 and at most {most:g}")
        require(0 < self.chance < 1, "chance", f"{self.chance:g}", "it must lie between 0 and 1")
        require_choice("format", self.format, FORMATS)
        require_choice("precision", self.precision, PRODUCT_PRECISIONS)
        require_choice("train_optimizer", self.train_optimizer, OPTIMIZERS)
        if self.active is not None and self.total is None:
            raise ConfigError(
                f"active={self.active:g} needs total, the size of the plain model it is part of."
            )
        if self.tokens and self.target_loss:
            raise ConfigError("tokens and target_loss cannot both be given: either fixes the other.")
        if self.deadline and self.deadline_days:
            raise ConfigError("deadline and deadline_days cannot both be given: either is the last day.")

    def request(self) -> Request:
        """What the planner is asked."""
        from lab.planner.sweep import sweep_family

        given: dict[str, Any] = {
            "won": self.budget_krw,
            "dollars": self.budget_usd,
            "deadline_days": days_between(self.start, self.deadline) if self.deadline else self.deadline_days,
        }
        return Request(
            cluster=replace(self.cluster, devices=self.devices) if self.devices else self.cluster,
            budget=replace(self.budget, **{key: value for key, value in given.items() if value is not None}),
            sequence=self.sequence,
            precision=self.precision,
            optimizer=self.train_optimizer,
            tokens=self.tokens * TOKEN if self.tokens else None,
            target_loss=self.target_loss,
            served=self.served_tokens * TOKEN if self.served_tokens else None,
            service=Service(self.context, self.precision, self.tokens_per_second),
            batch=self.batch_tokens * TOKEN,
            text=self.text * TOKEN,
            chance=self.chance,
            law=sweep_family(self.sweep) if self.sweep else CHINCHILLA_FAMILY,
        )


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
        print(train_command(found.recommended, goodput(request)))
    elif form == "markdown":
        print(to_markdown(plan_table(found)), end="")
    else:
        console = Console()
        console.print(to_console(plan_table(found), console.width), "")
        for line in (*plan_lines(found, request), *(f"Refused: {why}" for why in found.refused.values())):
            console.print(line, highlight=False)


if __name__ == "__main__":
    run_command(show_plan, "plan")
