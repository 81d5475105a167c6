"""What a sweep leaves on the disk beside its runs: ``sweep.json``, each run's ``job.json``, and failures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.errors import ConfigError
from lab.files import lock_folder, read_json, write_json, write_text
from lab.sweep.jobs import Job, Sweep

SUPERSEDED = ".superseded"
"""Folder, in the sweep's, of runs that an earlier form of the question left under a name now wanted."""


@contextmanager
def locked(sweep: Sweep) -> Iterator[None]:
    """The sweep's folder, made if need be, for one process at a time; :class:`ConfigError` for a second."""
    try:
        sweep.folder.mkdir(parents=True, exist_ok=True)
        lock = lock_folder(sweep.folder, "sweep")
    except OSError as error:
        raise ConfigError(
            f"output={sweep.output} cannot be used: {sweep.folder} cannot be written ({error.strerror})."
        ) from error
    try:
        yield
    finally:
        lock.close()


def write_sweep(
    sweep: Sweep, jobs: list[Job], chosen: Mapping[str, str | None], estimate_seconds: float, code: str | None
) -> None:
    """Write ``sweep.json``: the question, the jobs so far known, and ``chosen`` once options are.

    ``estimate_seconds`` is the work of the whole sweep on one core or GPU, as it was expected at this launch.
    """
    ablation = asdict(sweep.ablation)
    names = ("question", "claim", "baseline", "metric", "better", "also", "seeds", "variants", "search")
    content: dict[str, Any] = {"name": sweep.name, **{name: ablation[name] for name in names}}
    if sweep.ablation.search and chosen:
        content["chosen"] = dict(chosen)
    content |= {"jobs": [job.entry() for job in jobs], "estimate_seconds": estimate_seconds, "code": code}
    write_json(sweep.folder / "sweep.json", content)


def job_entry(job: Job) -> dict[str, Any]:
    """What ``job.json`` in the job's folder says, empty where there is none."""
    return read_json(job.directory / "job.json") or {}


def results_of(job: Job) -> dict[str, Any] | None:
    """What ``results.json`` says where the job is done as it is wanted now, else None."""
    status: dict[str, Any] = read_json(job.directory / "status.json") or {}
    if job_entry(job).get("fingerprint") != job.fingerprint or status.get("state") != "done":
        return None
    results: dict[str, Any] | None = read_json(job.directory / "results.json")
    if results is None or results.get("evaluation") != asdict(job.config.evaluation):
        return None
    return results


def claim_folder(sweep: Sweep, job: Job) -> str | None:
    """Make the job's folder ready; returns the new name of a run of other settings that stood there."""
    moved = None
    before = job_entry(job)
    if before and before["fingerprint"] != job.fingerprint:
        aside = _free(sweep.folder / SUPERSEDED / f"{job.run}-{before['fingerprint']}")
        aside.parent.mkdir(exist_ok=True)
        job.directory.rename(aside)
        moved = str(aside.relative_to(sweep.folder))
    kept = sweep.folder / SUPERSEDED / f"{job.run}-{job.fingerprint}"
    if kept.exists() and not job.directory.exists():
        kept.rename(job.directory)
    job.directory.mkdir(exist_ok=True)
    spent = job_entry(job).get("seconds")
    write_json(job.directory / "job.json", job.entry() | ({} if spent is None else {"seconds": spent}))
    return moved


def _free(path: Path) -> Path:
    """``path``, or with a number where it is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def strangers(sweep: Sweep, jobs: list[Job]) -> list[str]:
    """Run folders that are no jobs of this sweep, or no more."""
    known = {job.run for job in jobs}
    return sorted(
        path.parent.name for path in sweep.folder.glob("*/job.json") if path.parent.name not in known
    )


def add_seconds(directory: Path, seconds: float) -> None:
    """Add to the seconds that ``job.json`` says the job has taken, judging included, over all its attempts."""
    entry = read_json(directory / "job.json")
    write_json(directory / "job.json", entry | {"seconds": entry.get("seconds", 0.0) + seconds})


def record_failure(directory: Path, sentence: str, details: str) -> None:
    """Write down that a run failed: one sentence in ``status.json``, everything in ``failure.txt``."""
    write_text(directory / "failure.txt", details)
    status = read_json(directory / "status.json") or {"step": 0, "steps": 0}
    updated = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(directory / "status.json", status | {"state": "failed", "error": sentence, "updated": updated})


def failure_of(directory: Path) -> str | None:
    """The sentence of a recorded failure, None where the run did not fail."""
    status: dict[str, Any] = read_json(directory / "status.json") or {}
    return status.get("error") or "no reason was recorded" if status.get("state") == "failed" else None
