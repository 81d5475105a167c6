"""What a configuration will cost, from the configuration alone.

python -m experiments.size model=k_exaone scale=nano
python -m experiments.size model=k_exaone scale=nano sequence=4096 format=json
"""

import json
from dataclasses import dataclass

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from experiments.command import run_command
from lab.config import Config, size, typed
from lab.errors import ConfigError


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
        print(json.dumps({"model": settings.model.name} | record.as_dict()))
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
    Console().print(table)


if __name__ == "__main__":
    run_command(report_size, "size")
