"""A sweep from question to results: search, choice, comparison; whatever is done already is kept."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rich.console import Console

from lab.errors import ConfigError
from lab.files import read_json
from lab.sweep.command import sweep_of_ablation
from lab.sweep.config import AblationConfig
from lab.sweep.cores import SweepInterrupted, cores_here, run_on_cores
from lab.sweep.estimate import Capacity, estimate, expected_jobs
from lab.sweep.jobs import COMPARE, Job, Sweep, compose_sweep
from lab.sweep.progress import Progress
from lab.sweep.record import claim_folder, failure_of, locked, results_of, strangers, write_sweep
from lab.sweep.results import choose_options, figure, seconds_spent, settled


class Launcher(Capacity, Protocol):
    """Where jobs run. How each one went is read from its folder."""

    def launch(self, jobs: Sequence[Job], gpus: int, progress: Progress) -> None:
        """Run every job; that one fails is no reason to raise."""


class Cores:
    """This machine as a launcher, a process a job; see :func:`lab.sweep.cores.run_on_cores`.

    ``at_once`` None stands for a job a GPU where there are GPUs, else as many as there are cores for.
    """

    def __init__(self, at_once: int | None = None) -> None:
        if at_once is not None and at_once < 1:
            raise ConfigError(f"jobs_at_once={at_once} cannot be used: it must be null or at least 1.")
        self._at_once = at_once

    def jobs_at_once(self, threads: int, gpus: int) -> int:
        """As many as were asked for, as there are GPUs, or as fit the cores."""
        return self._at_once or gpus or max(1, cores_here() // threads)

    def launch(self, jobs: Sequence[Job], gpus: int, progress: Progress) -> None:
        """Run every job in a process of its own."""
        at_once = self.jobs_at_once(jobs[0].config.trainer.threads or 1, gpus)
        run_on_cores(jobs, at_once, gpus, progress.start, progress.finish, progress.look)


def run_sweep(
    ablation: str | AblationConfig,
    overrides: Sequence[str] = (),
    name: str = "sweep",
    jobs_at_once: int | None = None,
    fresh: bool = False,
) -> Path:
    """Run an ablation from Python, as ``python -m experiments.train -m`` does; returns the sweep's folder.

    Args:
        ablation: a name in ``conf/ablation``, or the question itself.
        overrides: hold for every run, for example ``["scale=nano", "output=runs"]``; a relative ``output`` counts
            from the current folder.
        name: the sweep's folder below ``output``, for a question that has no file.
        jobs_at_once: None = a job a GPU, else a job a core.
        fresh: remove the runs of earlier calls first.

    Raises :class:`ConfigError` for settings that cannot be used. A job that fails is recorded in its folder; the
    same call runs it again, and whatever else is missing. A script that calls this needs
    ``if __name__ == "__main__":``, as every job begins by importing it.
    """
    if isinstance(ablation, str):
        sweep = sweep_of_ablation(ablation, overrides)
    else:
        sweep = compose_sweep(name, ablation, overrides)
    complete(sweep, Cores(jobs_at_once), Console(highlight=False), fresh)
    return sweep.folder


def preview(sweep: Sweep, launcher: Launcher, console: Console) -> None:
    """Print what would run and what it would cost; writes nothing."""
    _say(console, *_heading(sweep), estimate(sweep, launcher, build=False).line())
    for job in expected_jobs(sweep):
        open_choice = job.phase == COMPARE and job.option and job.variant not in choose_options(sweep)
        option = "best option" if open_choice else job.option
        words = [job.phase, job.variant, *([option] if option else []), f"seed {job.seed}"]
        _say(console, f"{'done  ' if settled(job) else 'to run'}  {', '.join(words)}")


def complete(sweep: Sweep, launcher: Launcher, console: Console, fresh: bool = False) -> list[Job]:
    """Run whatever of ``sweep`` is not done yet; returns the jobs that failed.

    ``fresh`` first removes the runs of earlier launches. Raises :class:`ConfigError` where the sweep cannot
    start, and :class:`SweepInterrupted` after SIGINT or SIGTERM; the same call then goes on.
    """
    try:
        with locked(sweep):
            if fresh:
                _remove_runs(sweep)
            return _complete(sweep, launcher, console)
    except KeyboardInterrupt:  # before the jobs, or a second time while they stop
        raise SweepInterrupted(signal.SIGINT) from None


def _complete(sweep: Sweep, launcher: Launcher, console: Console) -> list[Job]:
    _say(console, *_heading(sweep))
    expected = estimate(sweep, launcher, build=True)
    _say(console, expected.line(), *_earlier_code(sweep, expected.code))
    progress = Progress(console, sweep.ablation.metric, expected)
    search = sweep.search_jobs()

    def record(jobs: list[Job], chosen: dict[str, str | None]) -> None:
        write_sweep(sweep, jobs, chosen, expected.total_seconds, expected.code)

    def run_phase(title: str, jobs: list[Job], later: list[Job]) -> None:
        todo = [job for job in jobs if not settled(job)]
        for job in todo:
            if (moved := claim_folder(sweep, job)) is not None:
                _say(console, f"{job.run} was a run of other settings; it is kept in {moved}")
        progress.begin(title, todo, later)
        try:
            if todo:
                launcher.launch(todo, expected.gpus, progress)
        finally:
            progress.end()

    if search:
        record([*search, *_known_compare_jobs(sweep)], choose_options(sweep))
        run_phase("search", search, [job for job in expected.missing if job.phase == COMPARE])
    compare = _known_compare_jobs(sweep)
    chosen = choose_options(sweep)
    record([*search, *compare], chosen)
    if search:
        _say(console, *(f"chosen for {variant}: {option}" for variant, option in chosen.items()))
    run_phase("comparison", compare, [])
    return _sum_up(sweep, [*search, *compare], console)


def _known_compare_jobs(sweep: Sweep) -> list[Job]:
    return sweep.compare_jobs(choose_options(sweep))


def _heading(sweep: Sweep) -> list[str]:
    ablation = sweep.ablation
    search = ""
    if ablation.search:
        search = f", each tuned over {len(sweep.options)} options x {len(ablation.search.seeds)} seeds"
    return [
        ablation.question,
        f"sweep {sweep.name}: {len(ablation.variants)} variants x {len(ablation.seeds)} seeds{search}",
    ]


def _earlier_code(sweep: Sweep, code: str | None) -> list[str]:
    """A line where runs of another revision are about to be kept."""
    before = (read_json(sweep.folder / "sweep.json") or {}).get("code")
    if before == code or not any(results_of(job) for job in expected_jobs(sweep)):
        return []
    return [
        f"what is done was begun with revision {before}; this is {code} (fresh=true runs everything again)"
    ]


def _sum_up(sweep: Sweep, jobs: list[Job], console: Console) -> list[Job]:
    """Say what failed, what was left out and where everything lies; returns the failed jobs."""
    failed = [job for job in jobs if not settled(job)]
    for job in jobs:
        if (results := results_of(job)) is not None:
            figure(results, sweep.ablation.metric)
    for job in failed:
        reason = failure_of(job.directory) or "it did not finish"
        _say(console, f"failed: {job.run}: {reason} The same command runs it again; see {job.directory}.")
    for variant in sweep.ablation.variants:
        if variant not in choose_options(sweep):
            _say(console, f"{variant} was not compared, as its search gave no option to compare it with.")
    if others := strangers(sweep, jobs):
        _say(console, f"in the folder, but no part of this sweep as it is now: {', '.join(others)}")
    hours = seconds_spent(jobs) / 3600
    _say(
        console,
        f"{len(jobs) - len(failed)} jobs done, {len(failed)} failed; {hours:.2f} core-hours spent",
        f"sweep folder: {sweep.folder.resolve()}",
    )
    return failed


def _remove_runs(sweep: Sweep) -> None:
    for path in sweep.folder.glob("*/job.json"):
        shutil.rmtree(path.parent)


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
