"""What serving costs: memory, devices and won per million tokens, the contenders side by side.

python -m experiments.serve_cost
python -m experiments.serve_cost device=h200 "contexts=[8192,131072]" precision=bf16 format=markdown
"""

import json
import math
from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.checks import require, require_choice
from lab.config import compose, typed
from lab.planner import facts
from lab.planner.config import PRODUCT_PRECISIONS, BudgetConfig
from lab.planner.describe import serving_data, serving_table
from lab.planner.money import price
from lab.planner.serving import Service, ServingCost, serve
from lab.report.contenders import BASELINE, KNOWN
from lab.report.tables import to_console, to_csv, to_markdown

FORMATS = ("table", "markdown", "csv", "json")
LONGEST = 2**30
"""Tokens of the longest context that is weighed."""


@dataclass
class ServeCostSettings:
    """The settings of ``conf/serve_cost.yaml``; ``contenders`` None means all."""

    budget: BudgetConfig
    device: str
    contexts: list[int]
    precision: str
    tokens_per_second: float
    contenders: list[str] | None
    format: str

    def __post_init__(self) -> None:
        require_choice("format", self.format, FORMATS)
        require_choice("precision", self.precision, PRODUCT_PRECISIONS)
        require_choice("device", self.device, sorted(facts.devices()))
        lengths = bool(self.contexts) and all(1 <= context <= LONGEST for context in self.contexts)
        require(lengths, "contexts", self.contexts, f"it must list lengths from 1 to {LONGEST:,}")
        rate = self.tokens_per_second
        require(0 < rate < math.inf, "tokens_per_second", f"{rate:g}", "it must be above 0")


def serving_costs(settings: ServeCostSettings) -> dict[str, dict[int, ServingCost | None]]:
    """Costs by contender and context."""
    names = settings.contenders or [name for name in KNOWN if name != BASELINE]
    models = {name: compose([f"model={name}", "scale=published"]).model for name in names}
    device = facts.device(settings.device)
    return {
        name: {
            context: serve(model, device, Service(context, settings.precision, settings.tokens_per_second))
            for context in settings.contexts
        }
        for name, model in models.items()
    }


def show_costs(container: DictConfig, overrides: list[str]) -> None:
    """Print the table."""
    settings: ServeCostSettings = typed(container, ServeCostSettings)
    costs, rent = serving_costs(settings), price(settings.device, settings.budget)
    if settings.format == "json":
        print(json.dumps(serving_data(costs, rent)))
    elif settings.format == "table":
        console = Console()
        console.print(to_console(serving_table(costs, rent), console.width))
    else:
        write = to_csv if settings.format == "csv" else to_markdown
        print(write(serving_table(costs, rent)), end="")


if __name__ == "__main__":
    run_command(show_costs, "serve_cost")
