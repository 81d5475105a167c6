"""What a sweep will cost, before it is launched: jobs, core-hours, time."""

from dataclasses import dataclass
from typing import Protocol

from lab.report.formats import duration
from lab.sweep.cores import survey_here
from lab.sweep.jobs import Job, Sweep
from lab.sweep.results import choose_options, seconds_per_flop, settled

EXPECTED_UTILISATION = 0.25
"""Share of a plain product's speed that a whole job, judging included, is expected to reach."""


class Capacity(Protocol):
    """What an estimate needs to know of a launcher."""

    def jobs_at_once(self, threads: int, gpus: int) -> int:
        """How many jobs of so many threads each run side by side; ``gpus`` are those of this machine."""


@dataclass(frozen=True)
class Estimate:
    """The cost of what is ``missing`` of a sweep's ``jobs``; ``code`` is the revision that would run.

    ``seconds_per_flop`` is the pace of finished jobs of the sweep where there are any (``measured``), else what
    this machine's speed in a plain product lets one expect.
    """

    jobs: list[Job]
    missing: list[Job]
    seconds_per_flop: float
    measured: bool
    at_once: int
    gpus: int
    code: str | None

    @property
    def core_seconds(self) -> float:
        """Seconds of work that are missing, on one core or GPU."""
        return sum(job.flops for job in self.missing) * self.seconds_per_flop

    @property
    def total_seconds(self) -> float:
        """Seconds of work of the whole sweep, on one core or GPU."""
        return sum(job.flops for job in self.jobs) * self.seconds_per_flop

    def line(self) -> str:
        """The estimate for a reader."""
        done = len(self.jobs) - len(self.missing)
        if not self.missing:
            return f"{len(self.jobs)} jobs, all of them done"
        at_once = min(self.at_once, len(self.missing))
        basis = "finished jobs" if self.measured else "this machine's speed"
        return (
            f"{len(self.jobs)} jobs, {done} done; the rest: about {self.core_seconds / 3600:.2f} core-hours, "
            f"{duration(self.core_seconds / at_once)} with {at_once} at once (judged by {basis})"
        )


def estimate(sweep: Sweep, capacity: Capacity, build: bool) -> Estimate:
    """Look at what is done and at the machine; ``build`` makes the corpora, which the jobs then share.

    Raises :class:`ConfigError` for a device that is absent, a corpus that cannot be made, or a metric that
    ``results.json`` will not have.
    """
    jobs = expected_jobs(sweep)
    missing = [job for job in jobs if not settled(job)]
    found = survey_here(
        [job.config for job in jobs], [sweep.ablation.metric, *sweep.ablation.also], build and bool(missing)
    )
    pace = seconds_per_flop(jobs)
    threads = jobs[0].config.trainer.threads or 1
    return Estimate(
        jobs=jobs,
        missing=missing,
        seconds_per_flop=pace or 1 / (found["flops_per_second"] * EXPECTED_UTILISATION),
        measured=pace is not None,
        at_once=capacity.jobs_at_once(threads, found["gpus"]),
        gpus=found["gpus"],
        code=found["code"],
    )


def expected_jobs(sweep: Sweep) -> list[Job]:
    """Every job; of the comparison with the first option where none is chosen yet, which costs the same."""
    chosen = dict.fromkeys(sweep.ablation.variants, sweep.options[0]) | choose_options(sweep)
    return [*sweep.search_jobs(), *sweep.compare_jobs(chosen)]
