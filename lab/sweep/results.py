"""What the runs of a sweep say: whether a job is settled, its metric, the option that a variant is tuned by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lab.errors import ConfigError
from lab.sweep.jobs import SEARCH, Job, Sweep
from lab.sweep.record import failure_of, job_entry, results_of
from lab.trainer.stop import TrainingDiverged


def settled(job: Job) -> bool:
    """Whether there is nothing to run: the job is done, or the search knows that training diverges with it."""
    return results_of(job) is not None or (job.phase == SEARCH and diverged(job))


def diverged(job: Job) -> bool:
    """Whether the job is recorded as failed because its loss or gradient was no number any more."""
    if job_entry(job).get("fingerprint") != job.fingerprint or failure_of(job.directory) is None:
        return False
    path = job.directory / "failure.txt"
    return path.exists() and path.read_text(encoding="utf-8").startswith(f"{TrainingDiverged.__name__}:")


def figure(results: Mapping[str, Any], metric: str) -> float:
    """The number at dotted key ``metric`` of ``results.json``; raises :class:`ConfigError` where there is none."""
    node: Any = results
    for key in metric.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    if isinstance(node, bool) or not isinstance(node, int | float):
        there = ", ".join(_number_keys(results))
        raise ConfigError(f"ablation.metric={metric} is not in results.json: there are {there}.")
    return float(node)


def _number_keys(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in node.items():
        if key == "evaluation":  # settings, not results
            continue
        if isinstance(value, Mapping):
            keys += _number_keys(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            keys.append(f"{prefix}{key}")
    return keys


def choose_options(sweep: Sweep) -> dict[str, str | None]:
    """For each variant whose search is complete the option with the best mean metric over the search seeds.

    An option that training diverged with counts as worst; one that failed otherwise leaves its variant without
    a choice until it has been run. Equal means go to the option named first.
    """
    if sweep.ablation.search is None:
        return dict.fromkeys(sweep.ablation.variants, None)
    jobs = sweep.search_jobs()
    chosen: dict[str, str | None] = {}
    for variant in sweep.ablation.variants:
        costs = {
            option: [_cost(job, sweep) for job in jobs if (job.variant, job.option) == (variant, option)]
            for option in sweep.options
        }
        known = {
            option: [cost for cost in values if cost is not None]
            for option, values in costs.items()
            if None not in values
        }
        if len(known) == len(costs):
            best = min(known, key=lambda option: sum(known[option]))
            if math.isfinite(sum(known[best])):
                chosen[variant] = best
    return chosen


def _cost(job: Job, sweep: Sweep) -> float | None:
    """The metric of a job, turned so that less is better; infinite where training diverged, None if not done."""
    results = results_of(job)
    if results is None:
        return math.inf if diverged(job) else None
    value = figure(results, sweep.ablation.metric)
    return value if sweep.ablation.better == "lower" else -value


def seconds_per_flop(jobs: Sequence[Job]) -> float | None:
    """The mean pace of the finished jobs among ``jobs``, judging included; None where none is finished."""
    finished = [job for job in jobs if results_of(job) is not None]
    seconds = seconds_spent(finished)
    return seconds / sum(job.flops for job in finished) if seconds > 0 else None


def seconds_spent(jobs: Sequence[Job]) -> float:
    """Seconds that ``jobs`` have taken, over all attempts that were not killed."""
    return float(sum(job_entry(job).get("seconds", 0.0) for job in jobs))
