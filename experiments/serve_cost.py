"""What serving costs: memory, devices and won per million tokens, the contenders side by side.

python -m experiments.serve_cost
python -m experiments.serve_cost device=h200 "contexts=[8192,131072]" precision=bf16 format=markdown
"""

import json
from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import compose, typed
from lab.errors import ConfigError
from lab.planner import facts
from lab.planner.config import PRECISIONS, BudgetConfig
from lab.planner.describe import serving_data, serving_table
from lab.planner.money import price
from lab.planner.serving import Service, ServingCost, serve
from lab.report.contenders import BASELINE, KNOWN
from lab.report.tables import to_console, to_csv, to_markdown

FORMATS = ("table", "markdown", "csv", "json")


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
        if self.format not in FORMATS:
            raise ConfigError(f"format={self.format} is unknown: it can be {', '.join(FORMATS)}.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision={self.precision} is unknown: it can be {', '.join(PRECISIONS)}.")
        if not self.contexts or min(self.contexts) < 1:
            raise ConfigError(f"contexts={self.contexts} cannot be used: it must list lengths of at least 1.")
        if not self.tokens_per_second > 0:
            raise ConfigError(
                f"tokens_per_second={self.tokens_per_second:g} cannot be used: it must be above 0."
            )
        if self.device not in facts.devices():
            raise ConfigError(
                f"device={self.device} is unknown: it can be {', '.join(sorted(facts.devices()))}."
            )


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
