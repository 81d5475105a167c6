"""Bring a released checkpoint into our names, or a trained model into the form its house releases.

python -m experiments.convert source=released/model target=converted/model
python -m experiments.convert source=runs/race/... target=exported/model dtype=bfloat16
"""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError

FORMATS = {"auto": None, "lab": False, "released": True}
TYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass
class ConvertSettings:
    """See ``conf/convert.yaml``; a gigabyte is 10^9 bytes."""

    source: str
    target: str
    format: str
    dtype: str
    max_shard_gigabytes: float
    overwrite: bool

    def __post_init__(self) -> None:
        if not Path(self.source).is_dir():
            raise ConfigError(f"source={self.source} cannot be used: it must be a folder.")
        for key, value, allowed in (("format", self.format, FORMATS), ("dtype", self.dtype, TYPES)):
            if value not in allowed:
                raise ConfigError(f"{key}={value} is unknown: it can be {', '.join(allowed)}.")
        if self.max_shard_gigabytes <= 0:
            raise ConfigError(
                f"max_shard_gigabytes={self.max_shard_gigabytes} cannot be used: it must be above 0."
            )


def convert_checkpoint(container: DictConfig, overrides: list[str]) -> None:
    """Convert, showing bytes written and time to go; what is half-written is removed, also when ended by a signal."""
    settings: ConvertSettings = typed(container, ConvertSettings)
    import torch

    from lab.convert import convert

    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, frame: sys.exit(128 + number))
    columns = (TextColumn("writing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("writing", total=None)

    def show(written: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=written, total=total)

    try:
        done = convert(
            settings.source,
            settings.target,
            FORMATS[settings.format],
            None if settings.dtype == "auto" else getattr(torch, settings.dtype),
            int(settings.max_shard_gigabytes * 1e9),
            settings.overwrite,
            show,
        )
    finally:
        if bar.live.is_started:
            bar.stop()
    files = f"{done.files} file{'s' if done.files > 1 else ''}"
    print(f"{done.target}: format {done.format}, {done.dtype}, {files} of weights, {done.bytes:,} bytes")


if __name__ == "__main__":
    run_command(convert_checkpoint, "convert")
