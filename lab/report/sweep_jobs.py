"""A sweep as data: variants, the jobs that try them, and the figures the jobs reached."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from lab.errors import ConfigError
from lab.report.curves import Band, seed_band
from lab.report.runs import Run, flatten

SEARCH, COMPARE = "search", "compare"
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, eq=False)
class Job:
    """One run of a sweep: ``variant`` with ``seed``, in the phase that searches options or in the one that compares.

    ``run`` is None where the run hasn't begun; ``option`` is None where the sweep searches none, or hasn't chosen.
    """

    variant: str
    option: str | None
    seed: int
    phase: str
    name: str
    fingerprint: str
    run: Run | None

    @property
    def state(self) -> str:
        """``waiting``, or the run's ``running``, ``done``, ``failed`` or ``unknown``."""
        return self.run.state if self.run else "waiting"

    @cached_property
    def figures(self) -> Mapping[str, float]:
        """The finite numbers of results.json by dotted key; empty where the run isn't finished."""
        if self.run is None or self.state != "done":
            return {}
        return {
            key: float(value)
            for key, value in flatten(self.run.results).items()
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        }

    @property
    def finished(self) -> bool:
        return bool(self.figures)

    @cached_property
    def core_hours(self) -> float:
        """Seconds of the job, judging included, times threads, in hours; of one that doesn't say, of its training."""
        if self.run is None:
            return 0.0
        threads = int(self.run.environment.get("threads") or 1)
        seconds = self.run.job.get("seconds") or flatten(self.run.results).get("training.seconds")
        if seconds is None:
            metrics = self.run.metrics
            seconds = float(metrics["seconds"].max()) if "seconds" in metrics else 0.0
        return seconds * threads / SECONDS_PER_HOUR


@dataclass(frozen=True)
class Sweep:
    """``description`` is sweep.json; ``notes`` say what a reader must know before comparing, such as unequal FLOPs.

    ``recorded_bands`` are the learning curves of a committed folder, None where they are read from the runs.
    """

    folder: Path
    description: Mapping[str, Any]
    jobs: tuple[Job, ...]
    notes: tuple[str, ...] = ()
    recorded_bands: Mapping[str, Band] | None = None

    @property
    def name(self) -> str:
        return str(self.description["name"])

    @property
    def question(self) -> str:
        return str(self.description.get("question") or "")

    @property
    def claim(self) -> str:
        return str(self.description.get("claim") or "")

    @property
    def baseline(self) -> str:
        return str(self.description["baseline"])

    @property
    def metric(self) -> str:
        """The dotted key of results.json that decides."""
        return str(self.description["metric"])

    @property
    def lower_is_better(self) -> bool:
        return self.description.get("better", "lower") == "lower"

    @property
    def also(self) -> list[str]:
        """Further dotted keys that are shown and decide nothing."""
        return [str(key) for key in self.description.get("also") or []]

    @property
    def seeds(self) -> list[int]:
        return list(self.description["seeds"])

    @property
    def variants(self) -> dict[str, list[str]]:
        """Each variant's overrides, in the order of the file."""
        return {str(name): list(overrides) for name, overrides in self.description["variants"].items()}

    @property
    def options(self) -> dict[str, list[str]]:
        """The searched options' overrides by name; empty where the sweep searches none."""
        search = self.description.get("search") or {}
        return {str(name): list(overrides) for name, overrides in search.get("options", {}).items()}

    @property
    def chosen(self) -> dict[str, str]:
        """The option chosen for each variant, as far as the search has gone."""
        return dict(self.description.get("chosen") or {})

    def of(self, variant: str, phase: str = COMPARE) -> list[Job]:
        return [job for job in self.jobs if job.variant == variant and job.phase == phase]

    def by_seed(self, variant: str, key: str) -> dict[int, float]:
        """The figure ``key`` of every finished compared run of ``variant``, by seed."""
        return {job.seed: job.figures[key] for job in self.of(variant) if key in job.figures}

    def searched(self, variant: str, key: str) -> dict[str, list[float]]:
        """The figure ``key`` of the search's finished runs of ``variant``, by option in the order of the file."""
        runs = self.of(variant, SEARCH)
        found = {
            option: [job.figures[key] for job in runs if job.option == option and key in job.figures]
            for option in self.options
        }
        return {option: values for option, values in found.items() if values}

    def best_option(self, variant: str) -> str | None:
        """The option with the best mean of the deciding metric; None before every run of the search is finished."""
        runs = self.of(variant, SEARCH)
        found = self.searched(variant, self.metric)
        if not runs or sum(map(len, found.values())) < len(runs):
            return None
        sign = 1 if self.lower_is_better else -1
        return min(found, key=lambda option: sign * fmean(found[option]))

    def entries(self, key: str) -> list[str]:
        """The names of the numbers in the mapping ``key``, empty for a number.

        Where there are names that are numbers themselves, such as lengths, it is these alone, in rising order. Raises
        ConfigError where no finished run has ``key``.
        """
        known = dict.fromkeys(name for job in self.jobs for name in job.figures)
        if key in known or not known:
            return []
        prefix = f"{key}."
        names = [name.removeprefix(prefix) for name in known if name.startswith(prefix)]
        leaves = [name for name in names if "." not in name]
        if not leaves:
            near = difflib.get_close_matches(key, [name for name in known if "held_out" not in name], 1, 0)
            raise ConfigError(
                f"metric={key} is in no results.json of {self.folder}: the nearest is {near[0]}."
            )
        numbers = {name: number for name in leaves if (number := entry_number(name)) is not None}
        return sorted(numbers, key=lambda name: numbers[name]) if numbers else leaves

    @property
    def mappings(self) -> list[str]:
        """What is shown by entry, such as a figure by length of context: a further metric that is a mapping, or the
        mapping by numbers from which any metric is an entry.
        """
        found = []
        for key in (self.metric, *self.also):
            parent, _, name = key.rpartition(".")
            found += [key] if self.entries(key) else [parent] if entry_number(name) is not None else []
        return list(dict.fromkeys(found))

    @cached_property
    def bands(self) -> Mapping[str, Band]:
        """The learning curve of each variant over its compared runs, with the band of its seeds."""
        if self.recorded_bands is not None:
            return self.recorded_bands
        found = {
            variant: seed_band([job.run for job in self.of(variant) if job.run]) for variant in self.variants
        }
        return {variant: band for variant, band in found.items() if band is not None}

    def core_hours(self, variant: str) -> float:
        """What the variant's runs took in both phases."""
        return sum(job.core_hours for job in self.jobs if job.variant == variant)

    @cached_property
    def problems(self) -> list[str]:
        """What is missing, failed or damaged, a sentence each."""
        waiting = [job.name for job in self.jobs if job.run is None]
        found = (
            [f"Not begun, {len(waiting)} of {len(self.jobs)} jobs: {_listed(waiting)}."] if waiting else []
        )
        for job in self.jobs:
            found += _job_problems(job)
        shown = [key for key in (self.metric, *self.also) if any(key in job.figures for job in self.jobs)]
        for job in self.jobs:
            lacking = [key for key in shown if job.finished and key not in job.figures]
            found += [f"{job.name} has no number for {_listed(lacking)}."] if lacking else []
        return found


def _job_problems(job: Job) -> list[str]:
    run = job.run
    if run is None:
        return []
    found = []
    if run.state == "failed":
        found.append(f"{job.name} failed: {str(run.status.get('error') or 'no cause recorded').rstrip('.')}.")
    elif run.state != "done":
        step = run.status.get("step")
        reached = "" if step is None else f" at step {step} of {run.status.get('steps', '?')}"
        found.append(f"{job.name} is not finished ({run.state}{reached}).")
    elif not job.finished:
        found.append(
            f"{job.name} ended but has no figures: {_listed(run.problems) or 'results.json is empty'}."
        )
    if run.unreadable_lines:
        last = f"up to step {run.metrics['step'].max()}" if len(run.metrics) else "not one step"
        found.append(
            f"{job.name}: metrics.jsonl breaks off mid-line ({run.unreadable_lines} unreadable), read {last}."
        )
    return found


def _listed(names: tuple[str, ...] | list[str], at_most: int = 6) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


def entry_number(name: str) -> float | None:
    """The number that names an entry of a mapping, ``1024`` or ``x8`` (times); None for a word."""
    found = re.fullmatch(r"x?(\d+(?:\.\d+)?)", name)
    return float(found[1]) if found else None
