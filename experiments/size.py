"""What a configuration will cost, from the configuration alone.

python -m experiments.size model=k_exaone scale=nano
python -m experiments.size model=k_exaone scale=nano sequence=4096 format=json
"""

import json
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from experiments.command import run_command
from lab.config import Config, size, typed
from lab.errors import ConfigError
from lab.model.checkpoint.census import released_forms
from lab.model.size import Size


@dataclass
class SizeSettings(Config):
    """``sequence`` tokens over which FLOPs are averaged; ``format`` is ``table`` or ``json``."""

    format: str
    sequence: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in ("table", "json"):
            raise ConfigError(f"format={self.format} is unknown: it can be table or json.")
        if self.sequence < 1:
            raise ConfigError(f"sequence={self.sequence} cannot be used: it must be at least 1.")


def report_size(container: DictConfig, overrides: list[str]) -> None:
    """Print the size record."""
    settings: SizeSettings = typed(container, SizeSettings)
    record = size(settings, settings.sequence)
    if settings.format == "json":
        print(
            json.dumps(
                {"model": settings.model.name, "scale": container.scale.name, **plain(settings, record)}
            )
        )
        return
    table = Table(title=f"{settings.model.name}, scale={container.scale.name}")
    table.add_column("")
    table.add_column("", justify="right")
    for part, count in record.parts.items():
        table.add_row(part, f"{count:,}")
    table.add_section()
    table.add_row("parameters, total", f"{record.parameters_total:,}")
    table.add_row("parameters, active", f"{record.parameters_active:,}")
    table.add_row("weights in bfloat16, bytes", f"{record.weight_bytes:,}")
    table.add_row(
        f"forward FLOPs per token at {record.sequence:,} tokens", f"{record.flops_per_token_forward:,.0f}"
    )
    table.add_row("training FLOPs per token", f"{record.flops_per_token_training:,.0f}")
    table.add_row("cache, bytes per token", f"{record.cache_bytes_per_token:,}")
    table.add_row("cache, fixed bytes", f"{record.cache_bytes_fixed:,}")
    for name, form in released_forms(settings.model).items():
        table.add_section()
        table.add_row(f"released form {name.replace('_', ' ')}, tensors", f"{form.tensors:,}")
        table.add_row("values, selection biases included", f"{form.values:,}")
    Console().print(table)


def plain(settings: SizeSettings, record: Size) -> dict[str, Any]:
    """The record as one JSON object; the parts sum to ``parameters_total``."""
    return {
        "parameters_total": record.parameters_total,
        "parameters_active": record.parameters_active,
        "parts": record.parts,
        "sequence": record.sequence,
        "flops_per_token": {
            "forward": record.flops_per_token_forward,
            "training": record.flops_per_token_training,
        },
        "cache_bytes_per_token": record.cache_bytes_per_token,
        "cache_bytes_fixed": record.cache_bytes_fixed,
        "weight_bytes_bfloat16": record.weight_bytes,
        "released": {name: form.as_dict() for name, form in released_forms(settings.model).items()},
    }


if __name__ == "__main__":
    run_command(report_size, "size")
