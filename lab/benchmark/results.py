"""What was measured, as stored: a file a suite, a line a comparison.

``<output>/<suite>.json`` grows while a suite runs; ``lab/benchmark/results`` holds what the tables of the README show.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lab.benchmark.rounds import Timing
from lab.files import read_json, write_text
from lab.trainer.device import DTYPES
from lab.trainer.environment import device_name

COMMITTED = Path(__file__).parent / "results"
"""The results that the README shows."""


@dataclass(frozen=True)
class Result:
    """A comparison as it was timed.

    ``asked`` tells whether a stored result answers the same question about the same code, ``spent`` are the seconds
    that it took, ``machine`` is :func:`describe_machine`.
    """

    name: str
    precision: str
    others: list[str]
    asked: str
    spent: float
    machine: str
    timing: Timing

    def __post_init__(self) -> None:
        assert self.precision in DTYPES


Results = Mapping[str, Result]


def describe_machine(threads: int) -> str:
    """Processor, cores, threads and versions in one line, and the day."""
    versions = ", ".join(
        f"{name} {version}" for name in ("torch", "transformers") if (version := _version(name))
    )
    processor = f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores, {threads} threads"
    today = time.strftime("%d %B %Y").lstrip("0")
    return f"{processor}; Python {sys.version.split()[0]}, {versions}; {today}"


def results_file(folder: Path, suite: str) -> Path:
    """Where the results of a suite lie in ``folder``."""
    return folder / f"{suite}.json"


def read_results(folder: Path, suite: str) -> dict[str, Result]:
    """The results of a suite by name, in their order; empty where there are none."""
    stored = read_json(results_file(folder, suite)) or {}
    return {
        name: Result(**{**record, "name": name, "timing": Timing(**record["timing"])})
        for name, record in stored.items()
    }


def write_results(folder: Path, suite: str, results: Results) -> None:
    """Replace the results of a suite; times to six digits."""
    lines = []
    for name, result in results.items():
        record: dict[str, Any] = asdict(result)
        del record["name"]
        for times in (record["timing"]["seconds"], record["timing"]["left_behind"]):
            times |= {label: _rounded(value) for label, value in times.items()}
        packed = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        lines.append(f"{json.dumps(name)}: {packed}")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(results_file(folder, suite), "{\n" + ",\n".join(lines) + "\n}\n")


def _rounded(value: Any) -> Any:
    return [_rounded(one) for one in value] if isinstance(value, list) else float(f"{value:.6g}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
