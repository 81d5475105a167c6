"""Reading run folders: the only input of every table, figure and page.

A run folder stands alone, but it may be half finished: the trainer writes ``metrics.jsonl`` while we read it,
a crash cuts a line short, and a run that failed has no ``results.json``. All of this is read as far as it
goes, what is missing or damaged is said in :attr:`Run.problems`, and only an absent folder is an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lab.errors import ConfigError

COMMITTED = "results.csv"  # in place of run folders, where a sweep's results were committed
RUN_FILES = ("status.json", "metrics.jsonl", "results.json")


@dataclass(frozen=True)
class Run:
    """One run folder, read as far as it goes.

    ``config``, ``status``, ``results``, ``environment`` and ``architecture`` are the parsed files, empty
    where the file is missing or damaged. ``problems`` says which files those were, in words for a reader.
    ``job`` is what a sweep says of a run it started (``variant``, ``option``, ``phase``), empty for others.
    """

    folder: Path
    config: dict[str, Any]
    status: dict[str, Any]
    results: dict[str, Any]
    environment: dict[str, Any]
    architecture: dict[str, Any]
    problems: tuple[str, ...]
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def contender(self) -> str:
        """The contender's key: from the results, else from the folder's name ``<contender>-s<seed>``."""
        return str(self.results.get("contender") or split_run_name(self.name)[0])

    @property
    def seed(self) -> int | None:
        """The seed: from the results, else from the folder's name."""
        seed = self.results.get("seed", split_run_name(self.name)[1])
        return None if seed is None else int(seed)

    @property
    def state(self) -> str:
        """``running``, ``done`` or ``failed``, as the trainer last wrote it; ``unknown`` without a status."""
        return str(self.status.get("state", "unknown"))

    @property
    def judged(self) -> bool:
        """Whether the run has bits per byte to show."""
        return bool(self.results.get("bits_per_byte"))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a logged step, sorted by ``step``; columns as in ``metrics.jsonl``, NaN where not logged.

        A run resumed from a checkpoint logs some steps twice: the later line is the one that counts.
        """
        rows, _ = self._log
        latest = {row["step"]: row for row in rows if isinstance(row.get("step"), int)}
        return pd.DataFrame([latest[step] for step in sorted(latest)])

    @property
    def unreadable_lines(self) -> int:
        """How many lines of ``metrics.jsonl`` a crash cut short."""
        return self._log[1]

    @cached_property
    def _log(self) -> tuple[list[dict[str, Any]], int]:
        return _json_lines(self.folder / "metrics.jsonl")


def split_run_name(name: str) -> tuple[str, int | None]:
    """``("k_exaone", 0)`` for ``k_exaone-s0``; the whole name and None where it doesn't end in a seed."""
    stem, separator, seed = name.rpartition("-s")
    return (stem, int(seed)) if separator and seed.isdecimal() else (name, None)


def read_run(folder: Path | str) -> Run:
    """Reads a run folder; raises ConfigError where there is no such folder."""
    folder = _existing(folder, "run folder")
    problems: list[str] = []
    return Run(
        folder=folder,
        config=_read(folder / "config.yaml", problems),
        status=_read(folder / "status.json", problems),
        results=_read(folder / "results.json", problems),
        environment=_read(folder / "environment.json", problems),
        architecture=_read(folder / "architecture.json", []),
        problems=tuple(problems),
        job=_read(folder / "job.json", []),
    )


def read_runs(directory: Path | str) -> list[Run]:
    """Every run folder at or beneath ``directory``, by path; raises ConfigError where there is none such.

    Hidden folders (such as Hydra's) are passed over, and a run's own folders aren't searched.
    """
    found = []
    for path, folders, files in os.walk(_existing(directory, "directory of runs")):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name in files for name in RUN_FILES):
            found.append(read_run(path))
            folders.clear()
    return sorted(found, key=lambda run: run.folder)


def runs(directory: Path | str) -> pd.DataFrame:
    """One row a run: name, contender, seed, state, step, then config and results with dotted column names.

    Runs that a sweep started have their variant, option and phase (``search`` or ``compare``) too. The folder of a
    sweep's committed results gives the runs that it remembers, see :func:`lab.report.sweeps.frame`.
    """
    if (Path(directory) / COMMITTED).is_file():
        from lab.report.sweeps import frame, read_sweep  # built on this module

        return frame(read_sweep(directory))
    rows = [
        {
            "name": run.name,
            **{key: run.job[key] for key in ("variant", "option", "phase") if key in run.job},
            "contender": run.contender,
            "seed": run.seed,
            "state": run.state,
            "step": run.status.get("step"),
            **{f"config.{key}": value for key, value in flatten(run.config).items()},
            **{f"results.{key}": value for key, value in flatten(run.results).items()},
            "folder": str(run.folder),
        }
        for run in read_runs(directory)
    ]
    return pd.DataFrame(rows)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys; lists are leaves."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings of dotted keys: what :func:`flatten` made flat."""
    tree: dict[str, Any] = {}
    for dotted, value in leaves.items():
        *parents, last = dotted.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON or YAML file that holds one mapping; raises OSError or ValueError where it doesn't."""
    text = path.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text) if path.suffix == ".yaml" else json.loads(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no mapping")
    return content


def _existing(folder: Path | str, key: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise ConfigError(
            f"{key} = '{folder}' does not exist; allowed is a folder that training has written."
        )
    return path


def _read(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return read_mapping(path)
    except FileNotFoundError:
        problems.append(f"{path.name} is missing")
    except ValueError:
        problems.append(f"{path.name} is damaged")
    return {}


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a JSON-lines file, and how many lines are none because a crash cut them short."""
    if not path.exists():
        return [], 0
    rows, unreadable = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            unreadable += 1
    return rows, unreadable
