"""Settings of the trainer room: optimiser, schedule, loop, tracker. Torch-free; each class checks itself."""

from dataclasses import dataclass, field
from typing import ClassVar

from lab.checks import require, require_choice
from lab.errors import ConfigError

DECAY_SHAPES = ("linear", "cosine", "inverse_sqrt")
PRECISIONS = ("float32", "bfloat16")
TRACKER_MODES = ("auto", "online", "offline", "disabled")


FREE_SETTINGS = (
    "name",
    "output",
    "fresh",
    "device",
    "tracker",
    "evaluation",
    "trainer.activation_checkpointing",
    "trainer.threads",
    "trainer.log_every",
    "trainer.keep_checkpoints",
    "trainer.checkpoint_every_seconds",
    "trainer.checkpoint_every_steps",
)
"""Settings that may change between the parts of one run, because the same weights are aimed at."""

LATER_SETTINGS = {"kernels": "auto"}
"""Settings that older runs do not name, and the value they had; with it, the digits of a run stay what they were."""


def _require_share(key: str, value: float) -> None:
    require(0 <= value <= 1, key, value, "it must lie between 0 and 1")


@dataclass
class OptimizerConfig:
    """What turns gradients into steps.

    ``learning_rate`` is the peak; the schedule multiplies it. ``weight_decay`` is decoupled (arXiv
    1711.05101): a step shrinks a weight by ``learning_rate * weight_decay``. Vectors are never decayed.
    """

    key: ClassVar[str] = "optimizer"
    kind: str
    learning_rate: float
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, f"{self.key}.learning_rate", self.learning_rate, "it must be above 0")
        require(
            self.weight_decay >= 0, f"{self.key}.weight_decay", self.weight_decay, "it must be at least 0"
        )


@dataclass
class AdamWConfig(OptimizerConfig):
    """AdamW (arXiv 1711.05101) for every parameter.

    ``betas`` are the decay rates of the running mean of the gradient and of its square.
    """

    betas: list[float] = field(default_factory=lambda: [0.9, 0.95])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = "it must be two numbers, each at least 0 and below 1"
        usable = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        require(usable, f"{self.key}.betas", self.betas, allowed)
        require(self.eps > 0, f"{self.key}.eps", self.eps, "it must be above 0")


@dataclass
class AdamWForTheRest(AdamWConfig):
    """AdamW for what Muon leaves: embedding, head, routers and vectors."""

    key: ClassVar[str] = "optimizer.adamw"


@dataclass
class MuonConfig(OptimizerConfig):
    """Muon for the matrices of hidden layers, AdamW for everything else; see :mod:`lab.trainer.muon`.

    ``learning_rate`` and ``weight_decay`` are those of the matrices. Their updates have the root mean square
    of an AdamW update, so that one learning rate suits both optimisers. ``newton_schulz_precision`` is the
    arithmetic of the orthogonalisation: ``bfloat16`` where the hardware multiplies it faster.
    """

    momentum: float = 0.9
    nesterov: bool = True
    newton_schulz_steps: int = 5
    newton_schulz_precision: str = "float32"
    adamw: AdamWForTheRest = field(
        default_factory=lambda: AdamWForTheRest("adamw", learning_rate=3e-2, betas=[0.8, 0.95])
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = "it must be at least 0 and below 1"
        require(0 <= self.momentum < 1, "optimizer.momentum", self.momentum, allowed)
        steps = self.newton_schulz_steps
        require(1 <= steps <= 20, "optimizer.newton_schulz_steps", steps, "it must lie between 1 and 20")
        require_choice("optimizer.newton_schulz_precision", self.newton_schulz_precision, PRECISIONS)


@dataclass
class ScheduleConfig:
    """The learning rate over a run, as a multiple of its peak: warm-up, constant, decay (WSD).

    The warm-up is linear from 0 over ``warmup_steps`` or over ``warmup_fraction`` of all steps, one of which
    is null. The last ``decay_fraction`` of all steps go from 1 to ``final_fraction`` in the ``decay_shape``;
    see :mod:`lab.trainer.schedule`.
    """

    kind: str = "constant_then_decay"
    warmup_steps: int | None = None
    warmup_fraction: float | None = 0.05
    decay_fraction: float = 0.4
    decay_shape: str = "linear"
    final_fraction: float = 0.05

    def __post_init__(self) -> None:
        require_choice("schedule.kind", self.kind, ("constant_then_decay",))
        require_choice("schedule.decay_shape", self.decay_shape, DECAY_SHAPES)
        for name in ("decay_fraction", "final_fraction"):
            _require_share(f"schedule.{name}", getattr(self, name))
        if (self.warmup_steps is None) == (self.warmup_fraction is None):
            raise ConfigError(
                f"schedule.warmup_steps={self.warmup_steps} and "
                f"schedule.warmup_fraction={self.warmup_fraction} cannot be used: exactly one must be null."
            )
        if self.warmup_steps is not None:
            require(
                self.warmup_steps >= 0, "schedule.warmup_steps", self.warmup_steps, "it must be at least 0"
            )
        if self.warmup_fraction is not None:
            _require_share("schedule.warmup_fraction", self.warmup_fraction)
            together = self.warmup_fraction + self.decay_fraction
            allowed = f"with schedule.decay_fraction={self.decay_fraction} it must come to at most 1"
            require(together <= 1 + 1e-9, "schedule.warmup_fraction", self.warmup_fraction, allowed)
        if self.decay_shape == "inverse_sqrt":
            allowed = "the shape inverse_sqrt never reaches 0"
            require(self.final_fraction > 0, "schedule.final_fraction", self.final_fraction, allowed)


@dataclass
class TrainerConfig:
    """How long, how wide and how exactly a run trains.

    A step sees ``batch_size * gradient_accumulation`` rows of ``sequence_length`` tokens; ``batch_size`` rows
    pass through the model at once. Exactly one of ``budget_flops`` (training FLOPs), ``budget_tokens`` and
    ``steps`` ends the run. ``precision`` is the arithmetic of the matrix products; weights are float32 in
    either. ``activation_checkpointing`` keeps only the inputs of blocks, which the backward pass computes again:
    the same weights in less memory and more time. ``clip_norm`` bounds the norm of the whole gradient, null = no
    bound.
    """

    sequence_length: int
    batch_size: int
    gradient_accumulation: int = 1
    budget_flops: float | None = None
    budget_tokens: int | None = None
    steps: int | None = None
    precision: str = "float32"
    activation_checkpointing: bool = False
    clip_norm: float | None = 1.0
    log_every: int = 1
    checkpoint_every_seconds: float | None = 300.0
    checkpoint_every_steps: int | None = None
    keep_checkpoints: int = 2
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in (
            "sequence_length",
            "batch_size",
            "gradient_accumulation",
            "log_every",
            "keep_checkpoints",
        ):
            require(getattr(self, name) >= 1, f"trainer.{name}", getattr(self, name), "it must be at least 1")
        for name in ("checkpoint_every_steps", "threads"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"trainer.{name}", value, "it must be null or at least 1")
        for name in ("checkpoint_every_seconds", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value > 0, f"trainer.{name}", value, "it must be null or above 0")
        require_choice("trainer.precision", self.precision, PRECISIONS)
        self._check_budget()

    def _check_budget(self) -> None:
        budgets = {name: getattr(self, name) for name in ("budget_flops", "budget_tokens", "steps")}
        given = {name: value for name, value in budgets.items() if value is not None}
        if len(given) != 1:
            shown = ", ".join(f"trainer.{name}={value}" for name, value in (given or budgets).items())
            raise ConfigError(
                f"{shown} cannot be used: exactly one of budget_flops, budget_tokens and steps must be a "
                "number and the others null."
            )
        ((name, value),) = given.items()
        require(value > 0, f"trainer.{name}", value, "it must be above 0")

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimiser step."""
        return self.batch_size * self.gradient_accumulation * self.sequence_length

    def steps_within_budget(self, flops_per_step: float) -> int:
        """Whole steps that the budget pays for, rounded down so that no model exceeds it.

        Raises :class:`ConfigError` where it pays for none.
        """
        if self.steps is not None:
            return self.steps
        if self.budget_tokens is not None:
            name, budget, price = "budget_tokens", float(self.budget_tokens), float(self.tokens_per_step)
        else:
            assert self.budget_flops is not None
            name, budget, price = "budget_flops", self.budget_flops, flops_per_step
        if budget < price:
            raise ConfigError(
                f"trainer.{name}={budget:g} does not pay for one step: it must be at least {price:g}."
            )
        return int(budget / price)


@dataclass
class TrackerConfig:
    """Weights & Biases beside the run folder.

    ``mode`` auto is online where an API key is found and offline elsewhere; disabled keeps to the run folder.
    ``group`` null stands for the experiment's name. The entity comes from the environment alone.
    """

    mode: str = "auto"
    project: str = "sovereign-lab"
    group: str | None = None
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        require_choice("tracker.mode", self.mode, TRACKER_MODES)
        require(bool(self.project), "tracker.project", repr(self.project), "it must name a project")
