"""What a run will do, worked out and printed before its first step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from lab.trainer.config import TrainerConfig
from lab.trainer.device import measure_matmul_flops, peak_flops
from lab.trainer.environment import device_name

EXPECTED_UTILISATION = 0.5
"""Share of a plain product's speed that a training step is expected to reach, for the time estimate."""

FLOAT32_BYTES = 4


class SizeRecord(Protocol):
    """What a plan needs to know of a model."""

    @property
    def parameters_total(self) -> int: ...

    @property
    def parameters_active(self) -> int: ...

    @property
    def flops_per_token_training(self) -> float: ...


@dataclass(frozen=True)
class Plan:
    """A run in numbers; ``memory_bytes`` are weights, gradients and optimiser state."""

    steps: int
    tokens_per_step: int
    flops_per_token: float
    parameters_total: int
    parameters_active: int
    batch: str
    memory_bytes: int
    precision: str
    activation_checkpointing: bool
    device: str
    threads: int
    kernels: Mapping[str, str]
    peak_flops: float | None
    estimated_seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.steps * self.tokens_per_step

    @property
    def flops(self) -> float:
        """Training FLOPs of the whole run."""
        return self.tokens * self.flops_per_token

    def rows(self) -> list[tuple[str, str]]:
        """The plan as pairs of a name and a figure for a reader."""
        mixture = (
            "" if self.parameters_active == self.parameters_total else f", {self.parameters_active:,} active"
        )
        activations = (
            "inputs of blocks, computed again in the backward pass"
            if self.activation_checkpointing
            else "activations"
        )
        return [
            ("parameters", f"{self.parameters_total:,}{mixture}"),
            ("steps", f"{self.steps:,}"),
            ("batch", self.batch),
            ("tokens", f"{self.tokens:,}"),
            ("training FLOPs", f"{self.flops:.3e} = {self.tokens:,} tokens x {self.flops_per_token:,.0f}"),
            (
                "memory",
                f"{in_bytes(self.memory_bytes)} for weights, gradients and optimiser, plus {activations}",
            ),
            ("precision", self.precision),
            ("device", f"{self.device}, {self.threads} threads"),
            (
                "kernels",
                ", ".join(f"{name}: {path}" for name, path in self.kernels.items()) or "none registered",
            ),
            ("time", f"about {duration(self.estimated_seconds)}"),
        ]

    def text(self) -> str:
        """:meth:`rows`, one a line."""
        width = max(len(name) for name, _ in self.rows())
        return "\n".join(f"{name:<{width}}  {figure}" for name, figure in self.rows())


def make_plan(
    config: TrainerConfig,
    size: SizeRecord,
    optimizer_bytes: int,
    device: torch.device,
    kernels: Mapping[str, str],
) -> Plan:
    """The plan of a run; ``kernels`` names the path that each operator takes.

    A budget of FLOPs or tokens buys whole steps, rounded down so that no contender exceeds it. Raises
    :class:`ConfigError` where it buys none.
    """
    flops_per_token = size.flops_per_token_training
    flops = flops_per_token * config.tokens_per_step
    steps = config.steps_within_budget(flops)
    name = device_name(device)
    speed = measure_matmul_flops(device, config.precision) * EXPECTED_UTILISATION
    return Plan(
        steps=steps,
        tokens_per_step=config.tokens_per_step,
        flops_per_token=flops_per_token,
        parameters_total=size.parameters_total,
        parameters_active=size.parameters_active,
        batch=_batch(config),
        memory_bytes=2 * FLOAT32_BYTES * size.parameters_total + optimizer_bytes,
        precision=config.precision,
        activation_checkpointing=config.activation_checkpointing,
        device=name,
        threads=config.threads or torch.get_num_threads(),
        kernels=dict(kernels),
        peak_flops=peak_flops(name, config.precision),
        estimated_seconds=steps * flops / speed,
    )


def _batch(config: TrainerConfig) -> str:
    passes = f" x {config.gradient_accumulation} passes" if config.gradient_accumulation > 1 else ""
    rows = f"{config.batch_size} rows x {config.sequence_length} tokens{passes}"
    return f"{rows} = {config.tokens_per_step:,} tokens a step"


def in_bytes(count: float) -> str:
    """``1536`` as ``1.5 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def duration(seconds: float) -> str:
    """``3700`` as ``1 h 02 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
