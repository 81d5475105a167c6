"""What ``conf/plan.yaml`` says, checked, as a question to the planner. Torch-free."""

from dataclasses import dataclass, replace
from typing import Any

from lab.checks import require, require_choice
from lab.errors import ConfigError
from lab.planner.config import OPTIMIZERS, PRODUCT_PRECISIONS, BudgetConfig, ClusterConfig
from lab.planner.dates import days_between
from lab.planner.facts import device
from lab.planner.plans import Request
from lab.planner.quantity import TOKEN
from lab.planner.scaling import CHINCHILLA_FAMILY
from lab.planner.serving import Service

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
        device(self.cluster.device)  # an unknown one is told before any model is composed
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
        from lab.planner.sweep import sweep_family  # pandas, where a sweep is asked for

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
