"""A sweep from question to results: search, choice, comparison; whatever is done already is kept."""

import shutil
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console

from lab.errors import ConfigError
from lab.files import read_json
from lab.report.formats import duration
from lab.sweep.cores import cores_here, run_on_cores, survey_here
from lab.sweep.jobs import COMPARE, Job, Sweep
from lab.sweep.progress import Progress
from lab.sweep.record import claim_folder, failure_of, locked, results_of, strangers, write_sweep
from lab.sweep.results import choose_options, diverged, figure, seconds_per_flop

EXPECTED_UTILISATION = 0.25
"""Share of a plain product's speed that a whole job, judging included, is expected to reach."""


class Launcher(Protocol):
    """Where jobs run. How each one went is read from its folder."""

    def jobs_at_once(self, threads: int, gpus: int) -> int:
        """How many jobs of so many threads run side by side, for the estimate."""

    def launch(self, jobs: Sequence[Job], gpus: int, progress: Progress) -> None:
        """Run every job; a job that fails is no reason to raise."""


class Cores:
    """The launcher on this machine: a process a job; see :func:`lab.sweep.cores.run_on_cores`.

    ``at_once`` None stands for a job a GPU where there are GPUs, else a job a core.
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


def run(sweep: Sweep, launcher: Launcher, console: Console, fresh: bool = False) -> list[Job]:
    """Run whatever of ``sweep`` is not done yet; returns the jobs that failed.

    ``fresh`` first removes the runs of earlier launches. Raises :class:`ConfigError` where the sweep cannot
    start, and ``SweepInterrupted`` after SIGINT or SIGTERM; the same call then goes on.
    """
    with locked(sweep):
        if fresh:
            _remove_runs(sweep)
        facts = survey_sweep(sweep, launcher, build=True)
        for line in estimate_lines(sweep, facts):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        at_once, pace = facts["at_once"], facts["seconds_per_flop"]
        progress = Progress(console, sweep.ablation.metric, at_once, pace)
        search = sweep.search_jobs()
        total = sum(job.flops for job in [*search, *_expected_compare_jobs(sweep)]) * pace

        def write(jobs: list[Job], chosen: dict[str, str | None]) -> None:
            write_sweep(sweep, jobs, chosen, total, facts["code"])

        write(search, {})
        if search:
            _run_phase("search", sweep, search, launcher, facts["gpus"], progress, console)
        chosen = choose_options(sweep)
        compare = sweep.compare_jobs(chosen)
        write([*search, *compare], chosen)
        if search and chosen:
            console.print("chosen: " + ", ".join(f"{name} {option}" for name, option in chosen.items()))
        _run_phase("comparison", sweep, compare, launcher, facts["gpus"], progress, console)
        return _sum_up(sweep, search, compare, chosen, console)


def survey_sweep(sweep: Sweep, launcher: Launcher, build: bool) -> dict[str, Any]:
    """What is known before the launch: pace in seconds a FLOP, jobs at once, GPUs, revision of the code.

    The pace is that of the sweep's finished jobs, else a share of a plain product's speed on this machine.
    """
    jobs = [*sweep.search_jobs(), *_expected_compare_jobs(sweep)]
    metrics = [sweep.ablation.metric, *sweep.ablation.also]
    facts = survey_here([job.config for job in jobs], metrics, build)
    measured = seconds_per_flop(jobs)
    facts["from_finished"] = measured is not None
    facts["seconds_per_flop"] = measured or 1 / (facts["flops_per_second"] * EXPECTED_UTILISATION)
    threads = jobs[0].config.trainer.threads or 1
    facts["at_once"] = launcher.jobs_at_once(threads, facts["gpus"])
    return facts


def preview(sweep: Sweep, launcher: Launcher, console: Console) -> None:
    """Print what would run and what it would cost; writes nothing."""
    for line in estimate_lines(sweep, survey_sweep(sweep, launcher, build=False)):
        console.print(line, soft_wrap=True, markup=False)
    for job in [*sweep.search_jobs(), *_expected_compare_jobs(sweep)]:
        state = "done" if results_of(job) is not None else "to run"
        option = "the best option" if job.phase == COMPARE and sweep.ablation.search else job.option or ""
        console.print(f"{job.phase:<8} {job.variant} {option} seed {job.seed}: {state}", markup=False)


def estimate_lines(sweep: Sweep, facts: dict[str, Any]) -> list[str]:
    """What the sweep will cost, in lines for the console."""
    ablation = sweep.ablation
    jobs = [*sweep.search_jobs(), *_expected_compare_jobs(sweep)]
    missing = [job for job in jobs if results_of(job) is None]
    seconds = sum(job.flops for job in missing) * facts["seconds_per_flop"]
    at_once = min(facts["at_once"], max(1, len(missing)))
    basis = "the pace of finished jobs" if facts["from_finished"] else "FLOPs and this machine's speed"
    search = (
        f", after a search of {len(sweep.options)} options x {len(ablation.search.seeds)} seeds for each"
        if ablation.search
        else ""
    )
    return [
        ablation.question,
        f"sweep {sweep.name}: {len(ablation.variants)} variants x {len(ablation.seeds)} seeds{search}",
        f"{len(jobs)} jobs, {len(jobs) - len(missing)} of them done; the rest will take about "
        f"{seconds / 3600:.2f} core-hours, {duration(seconds / at_once)} with {at_once} at once (from {basis})",
    ]


def _expected_compare_jobs(sweep: Sweep) -> list[Job]:
    """The comparison, with the first option where none is chosen yet: as many jobs, and as dear, as any."""
    chosen = dict.fromkeys(sweep.ablation.variants, sweep.options[0])
    return sweep.compare_jobs(chosen | choose_options(sweep))


def _run_phase(
    title: str,
    sweep: Sweep,
    jobs: list[Job],
    launcher: Launcher,
    gpus: int,
    progress: Progress,
    console: Console,
) -> None:
    todo = [job for job in jobs if results_of(job) is None]
    for job in todo:
        if (moved := claim_folder(sweep, job)) is not None:
            console.print(f"{job.run} held a run of other settings; it is now {moved}", soft_wrap=True)
    progress.begin(title, todo, len(jobs) - len(todo))
    try:
        if todo:
            launcher.launch(todo, gpus, progress)
    finally:
        progress.end()
    for job in jobs:
        if (results := results_of(job)) is not None:
            figure(results, sweep.ablation.metric)


def _sum_up(
    sweep: Sweep, search: list[Job], compare: list[Job], chosen: dict[str, str | None], console: Console
) -> list[Job]:
    """Say what failed and what lies where; the failed jobs."""
    failed = [job for job in search if results_of(job) is None and not diverged(job)]
    failed += [job for job in compare if results_of(job) is None]
    for job in failed:
        reason = failure_of(job.directory) or "it did not finish"
        console.print(
            f"failed: {job.run}: {reason} (see {job.directory / 'failure.txt'}; the same command runs it again)",
            soft_wrap=True,
            markup=False,
        )
    for variant in sweep.ablation.variants:
        if variant not in chosen:
            console.print(f"{variant} was not compared: its search is not complete", soft_wrap=True)
    if others := strangers(sweep, [*search, *compare]):
        console.print(f"not part of this sweep as it is now: {', '.join(others)}", soft_wrap=True)
    seconds = sum(
        (read_json(job.directory / "job.json") or {}).get("seconds", 0.0) for job in [*search, *compare]
    )
    done = len(search) + len(compare) - len(failed)
    console.print(f"{done} jobs done, {len(failed)} failed; {seconds / 3600:.2f} core-hours spent")
    console.print(f"sweep folder: {sweep.folder.resolve()}", soft_wrap=True)
    return failed


def _remove_runs(sweep: Sweep) -> None:
    for path in sweep.folder.glob("*/job.json"):
        shutil.rmtree(path.parent)
