"""The results of a sweep as small files to be committed, from which its table and figures are made again.

``sweep.json`` is the sweep's own, with the conditions that all runs shared and the notes on those they didn't;
``results.csv`` has one row a job at full precision; ``curves.csv`` the variants' learning curves; ``figure.svg`` is
what is drawn from them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lab.errors import ConfigError
from lab.files import write_json, write_text
from lab.report.curves import Band
from lab.report.runs import COMMITTED, Run, unflatten
from lab.report.sweep_checks import shared_conditions
from lab.report.sweep_jobs import SECONDS_PER_HOUR, Job, Sweep

CURVES_FILE = "curves.csv"
JOB_COLUMNS = ("variant", "option", "phase", "seed", "run", "fingerprint", "state", "step", "steps", "error")
RUN_COLUMNS = ("revision", "threads", "seconds")
FIGURES = ("bits_per_byte", "size", "training")  # sections of results.json that are kept whole
CURVE_POINTS = 120
CURVE_COLUMNS = ("variant", "runs", "flops", "mean", "low", "high")


def is_committed(folder: Path) -> bool:
    """Whether a folder holds committed results rather than runs."""
    return (folder / COMMITTED).is_file()


def write_committed(sweep: Sweep, folder: Path) -> list[Path]:
    """Write ``sweep.json``, ``results.csv`` and ``curves.csv``; a folder that stands is brought up to date.

    Raises ConfigError where the folder holds the results of another sweep.
    """
    _refuse_other_sweep(sweep, folder)
    folder.mkdir(parents=True, exist_ok=True)
    record = {**sweep.description, "conditions": shared_conditions(sweep.jobs), "notes": list(sweep.notes)}
    write_text(folder / COMMITTED, _results(sweep))
    write_text(folder / CURVES_FILE, _curves(sweep.bands))
    write_json(folder / "sweep.json", record)
    return [folder / name for name in (COMMITTED, CURVES_FILE, "sweep.json")]


def recorded_runs(folder: Path) -> dict[str, Run]:
    """The runs of committed results by name; raises ConfigError where the file is damaged."""
    path = folder / COMMITTED
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {row["run"]: _recorded_run(folder, row) for row in rows if row["state"] != "waiting"}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"sweep={folder} cannot be read: {COMMITTED} is damaged ({type(error).__name__} {error}); "
            "export it again."
        ) from error


def recorded_bands(folder: Path) -> dict[str, Band]:
    """The learning curves of committed results by variant, empty where none were committed."""
    path = folder / CURVES_FILE
    if not path.is_file():
        return {}
    points: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            points.setdefault(row["variant"], []).append(row)
    return {variant: _band(rows) for variant, rows in points.items()}


def _band(rows: Sequence[Mapping[str, str]]) -> Band:
    flops, mean, low, high = (np.array([float(row[key]) for row in rows]) for key in CURVE_COLUMNS[2:])
    return Band(flops, mean, low, high, int(rows[0]["runs"]))


def _refuse_other_sweep(sweep: Sweep, folder: Path) -> None:
    path = folder / "sweep.json"
    if not path.is_file():
        return
    try:
        other = json.loads(path.read_text(encoding="utf-8")).get("name")
    except (ValueError, AttributeError):
        return  # damaged: to be written anew
    if other != sweep.name:
        raise ConfigError(
            f"export={folder} holds the results of {other}: choose another folder for {sweep.name}."
        )


def _results(sweep: Sweep) -> str:
    shown = {
        sweep.metric,
        *sweep.also,
        *(f"{key}.{entry}" for key in sweep.mappings for entry in sweep.entries(key)),
    }
    known = dict.fromkeys(key for job in sweep.jobs for key in job.figures)
    figures = [key for key in known if key in shown or key.partition(".")[0] in FIGURES]
    rows = [[*_job_cells(job), *(job.figures.get(key) for key in figures)] for job in sweep.jobs]
    return _csv((*JOB_COLUMNS, *RUN_COLUMNS, *figures), rows)


def _job_cells(job: Job) -> list[Any]:
    cells = [job.variant, job.option, job.phase, job.seed, job.name, job.fingerprint, job.state]
    if job.run is None:
        return cells + [None] * (len(JOB_COLUMNS) + len(RUN_COLUMNS) - len(cells))
    status, environment = job.run.status, job.run.environment
    git = environment.get("git") or {}
    threads = int(environment.get("threads") or 1)
    seconds = job.core_hours * SECONDS_PER_HOUR / threads
    return [
        *cells, status.get("step"), status.get("steps"), status.get("error"), git.get("revision"), threads, seconds,
    ]  # fmt: skip


def _curves(bands: Mapping[str, Band]) -> str:
    rows = []
    for variant, band in bands.items():
        kept = np.unique(np.linspace(0, len(band.flops) - 1, CURVE_POINTS).round().astype(int))
        for index in kept:
            numbers = (band.flops[index], band.mean[index], band.low[index], band.high[index])
            rows.append([variant, band.num_runs, *(f"{number:.6g}" for number in numbers)])
    return _csv(CURVE_COLUMNS, rows)


def _csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()


def _recorded_run(folder: Path, row: Mapping[str, str]) -> Run:
    """A run as its row remembers it: no configuration, no log."""
    figures = {
        key: float(value) for key, value in row.items() if value and key not in (*JOB_COLUMNS, *RUN_COLUMNS)
    }
    return Run(
        folder=folder / row["run"],
        config={},
        status={
            "state": row["state"],
            "error": row["error"] or None,
            **{key: int(row[key]) for key in ("step", "steps") if row[key]},
        },
        results=unflatten(figures),
        environment={"git": {"revision": row["revision"]}, "threads": int(row["threads"])},
        architecture={},
        problems=(),
        job={"seconds": float(row["seconds"])},
    )
