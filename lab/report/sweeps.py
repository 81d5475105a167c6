"""Reading the folder of a sweep, finished or not, or the results of one that were committed.

A sweep's folder holds ``sweep.json`` (the question, the variants, the jobs) and one run folder a job. The folder of
committed results holds the same ``sweep.json`` and, in place of runs, the tables that
:mod:`lab.report.sweep_committed` writes. Both are read to the same :class:`Sweep`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from lab.errors import ConfigError
from lab.report import sweep_checks
from lab.report.runs import Run, flatten, read_mapping, read_run
from lab.report.sweep_committed import is_committed, recorded_bands, recorded_runs
from lab.report.sweep_jobs import COMPARE, SEARCH, Job, Sweep

SWEEP_FILE = "sweep.json"
REQUIRED = ("name", "baseline", "metric", "seeds", "variants", "jobs")


def read_sweep(folder: Path | str) -> Sweep:
    """Reads the folder of a sweep or of committed results, as far as it goes.

    Raises ConfigError where the folder is none, where its variants can't be told apart, and where its runs can't be
    compared: other tokenizers, corpora, evaluations, held-out sets or training budgets.
    """
    folder = Path(folder)
    description = _description(folder)
    if is_committed(folder):
        jobs = tuple(_jobs(folder, description, recorded_runs(folder)))
        return Sweep(folder, description, jobs, tuple(description.get("notes", ())), recorded_bands(folder))
    entries = {str(entry["run"]): str(entry["fingerprint"]) for entry in description["jobs"]}
    runs = {name: run for name, print_ in entries.items() if (run := _run(folder / name, print_))}
    sweep = Sweep(folder, description, tuple(_jobs(folder, description, runs)))
    return replace(sweep, notes=tuple(sweep_checks.notes(sweep)))


def is_sweep(folder: Path | str) -> bool:
    """Whether a folder is a sweep's, or holds committed results of one."""
    return (Path(folder) / SWEEP_FILE).is_file()


def frame(sweep: Sweep) -> pd.DataFrame:
    """One row a job, those not begun too: variant, option, phase, seed, state, run, then config and results.

    Config and results have dotted column names as in :func:`lab.report.runs.runs`.
    """
    rows = []
    for job in sweep.jobs:
        config, results = (flatten(job.run.config), flatten(job.run.results)) if job.run else ({}, {})
        rows.append(
            {
                "variant": job.variant,
                "option": job.option,
                "phase": job.phase,
                "seed": job.seed,
                "state": job.state,
                "name": job.name,
                "core_hours": job.core_hours,
                **{f"config.{key}": value for key, value in config.items()},
                **{f"results.{key}": value for key, value in results.items()},
            }
        )
    return pd.DataFrame(rows)


def _description(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ConfigError(f"sweep={folder} does not exist: it must be the folder of a sweep.")
    if not any(folder.iterdir()):
        raise ConfigError(
            f"sweep={folder} is an empty folder: it must hold {SWEEP_FILE} and the sweep's runs."
        )
    try:
        description = read_mapping(folder / SWEEP_FILE)
    except FileNotFoundError:
        raise ConfigError(
            f"sweep={folder} is no sweep's folder: it has no {SWEEP_FILE}, which a sweep writes before its first job."
        ) from None
    except ValueError:
        raise ConfigError(
            f"sweep={folder} cannot be read: its {SWEEP_FILE} is damaged; start the sweep again to rewrite it."
        ) from None
    for key in REQUIRED:
        if key not in description:
            raise ConfigError(f"sweep={folder} cannot be read: its {SWEEP_FILE} lacks {key}.")
    variants = list(description["variants"])
    if not variants or not description["seeds"]:
        raise ConfigError(
            f"sweep={folder} is empty: its {SWEEP_FILE} names no {'seeds' if variants else 'variants'}."
        )
    if description["baseline"] not in variants:
        raise ConfigError(
            f"baseline={description['baseline']} is no variant of sweep={folder}: it can be {', '.join(variants)}."
        )
    return description


def _jobs(folder: Path, description: Mapping[str, Any], runs: Mapping[str, Run]) -> list[Job]:
    """The jobs of sweep.json with their runs, then those that wait for the search to choose an option."""
    jobs: dict[tuple[str, str | None, int, str], Job] = {}
    for entry in description["jobs"]:
        job = Job(
            variant=str(entry["variant"]),
            option=entry.get("option"),
            seed=int(entry["seed"]),
            phase=str(entry["phase"]),
            name=str(entry["run"]),
            fingerprint=str(entry["fingerprint"]),
            run=runs.get(str(entry["run"])),
        )
        if job.variant not in description["variants"]:
            raise ConfigError(
                f"sweep={folder} cannot be read: {job.name} is of {job.variant}, which is no variant."
            )
        key = (job.variant, job.option if job.phase == SEARCH else None, job.seed, job.phase)
        if key in jobs:
            raise ConfigError(
                f"sweep={folder} cannot be read: {jobs[key].name} and {job.name} are both {job.variant} with seed "
                f"{job.seed}; a variant has one run a seed."
            )
        jobs[key] = job
    _refuse_duplicates(folder, list(jobs.values()))
    for variant in description["variants"]:
        for seed in description["seeds"]:
            key = (variant, None, seed, COMPARE)
            jobs.setdefault(key, Job(variant, None, seed, COMPARE, f"{variant}-s{seed}", "", None))
    return list(jobs.values())


def _refuse_duplicates(folder: Path, jobs: list[Job]) -> None:
    """Two variants of the same settings would be compared with themselves."""
    for first, second in combinations([job for job in jobs if job.phase == COMPARE], 2):
        if first.variant != second.variant and first.fingerprint and first.fingerprint == second.fingerprint:
            raise ConfigError(
                f"variants {first.variant} and {second.variant} of sweep={folder} are duplicates: {first.name} and "
                f"{second.name} have the same settings ({first.fingerprint}); every variant must differ in one."
            )


def _run(folder: Path, fingerprint: str) -> Run | None:
    """The job's run; None where it hasn't begun, which a run of other settings in its folder doesn't change."""
    if not folder.is_dir():
        return None
    run = read_run(folder)
    return run if run.job.get("fingerprint", fingerprint) == fingerprint else None
