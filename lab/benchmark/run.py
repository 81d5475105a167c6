"""Run a suite comparison by comparison; each result is a file, so that a stopped suite goes on where it was."""

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.benchmark.config import BenchmarkConfig
from lab.benchmark.rounds import Timing, time_cases
from lab.benchmark.suites import COMPARISONS, Comparison, write_weights
from lab.errors import ConfigError
from lab.files import read_json, write_json
from lab.trainer.environment import describe_environment


@dataclass(frozen=True)
class Result:
    """A comparison and its timing, as stored."""

    name: str
    precision: str
    others: list[str]
    timing: Timing


def run_suite(config: BenchmarkConfig, progress: Callable[[str], None]) -> list[Result]:
    """Every comparison of a suite, in its order. Raises :class:`ConfigError` where ``only`` leaves none."""
    folder = Path(config.output)
    chosen = [
        comparison
        for comparison in COMPARISONS[config.suite](folder)
        if not config.only or any(word in comparison.name for word in config.only)
    ]
    if not chosen:
        names = ", ".join(comparison.name for comparison in COMPARISONS[config.suite](folder)[:4])
        raise ConfigError(
            f"only={config.only} leaves nothing of suite={config.suite}: a word must be part of a name ({names}, ...)."
        )
    return [
        _result(comparison, config, folder, f"{number} of {len(chosen)}: {comparison.name}", progress)
        for number, comparison in enumerate(chosen, 1)
    ]


def _result(
    comparison: Comparison,
    config: BenchmarkConfig,
    folder: Path,
    title: str,
    progress: Callable[[str], None],
) -> Result:
    """Read back, or timed now."""
    threads = config.threads or os.cpu_count() or 1
    path = folder / config.suite / f"{re.sub(r'[^a-zA-Z0-9]+', '-', comparison.name)}.json"
    asked = {
        "rounds": config.rounds,
        "threads": threads,
        "specs": [asdict(spec) for spec in comparison.specs()],
    }
    stored: dict[str, Any] | None = None if config.fresh else read_json(path)
    if stored is None or stored["asked"] != asked:
        write_weights(comparison)
        timing = time_cases(
            comparison.specs(), config.rounds, threads, lambda said: progress(f"{title}: {said}")
        )
        import torch

        stored = {
            "asked": asked,
            "timing": asdict(timing),
            "environment": describe_environment(torch.device("cpu")),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, stored)
    return Result(
        comparison.name,
        comparison.precision,
        [spec.label for spec in comparison.others],
        Timing(**stored["timing"]),
    )
