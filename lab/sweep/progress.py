"""How far a sweep is, over its jobs: a live view on a terminal, a line a finished job elsewhere."""

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lab.files import read_json
from lab.report.formats import duration
from lab.sweep.estimate import Estimate
from lab.sweep.jobs import Job
from lab.sweep.record import failure_of, results_of
from lab.sweep.results import diverged, figure

SECONDS_BETWEEN_REFRESHES = 1.0


class Progress:
    """Told of every job's start and end; says what happened and when the rest will be done.

    The pace is that of the jobs that ended under its eyes; before the first, the estimate's.
    """

    def __init__(self, console: Console, metric: str, estimate: Estimate) -> None:
        self._console = console
        self._metric = metric
        self._estimate = estimate
        self._waiting = list(estimate.missing)
        self._running: dict[str, Job] = {}
        self._ended, self._total = len(estimate.jobs) - len(estimate.missing), len(estimate.jobs)
        self._flops, self._seconds = 0.0, 0.0
        self._live: Live | None = None
        self._shown = 0.0

    def begin(self, title: str, jobs: Sequence[Job], later: Sequence[Job]) -> None:
        """A phase begins: ``jobs`` are run now, ``later`` ones in another phase."""
        self._waiting = [*jobs, *later]
        self._total = self._ended + len(self._waiting)
        self._console.print(f"{title}: {len(jobs)} jobs to run", soft_wrap=True)
        if self._console.is_terminal and jobs:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def end(self) -> None:
        """The phase is over, however it ended."""
        if self._live:
            self._live.stop()
            self._live = None

    def start(self, job: Job) -> None:
        """A job begins."""
        self._waiting.remove(job)
        self._running[job.run] = job

    def finish(self, job: Job, seconds: float | None) -> None:
        """A job has ended, well or not, after ``seconds`` if they are known.

        Raises :class:`ConfigError` where its results lack the sweep's metric.
        """
        self._running.pop(job.run, None)
        self._ended += 1
        results = results_of(job)
        if results is not None and seconds is not None:
            self._flops += job.flops
            self._seconds += seconds
        width = len(str(self._total))
        parts = [f"[{self._ended:>{width}}/{self._total}] {job.run}", self._outcome(job)]
        parts += [duration(seconds)] if seconds is not None else []
        parts += [f"ETA {duration(self.remaining())}"] if self._waiting or self._running else []
        self._console.print("  ".join(parts), soft_wrap=True, markup=False)

    def _outcome(self, job: Job) -> str:
        results = results_of(job)
        if results is not None:
            return f"{self._metric} {figure(results, self._metric):.4f}"
        word = "diverged" if diverged(job) else "FAILED"
        return f"{word}: {failure_of(job.directory) or 'it did not finish'}"

    def look(self) -> None:
        """Draw the live view anew, if there is one and it is time."""
        if self._live is None or time.monotonic() - self._shown < SECONDS_BETWEEN_REFRESHES:
            return
        self._shown = time.monotonic()
        head = f"{self._ended} of {self._total} jobs, {len(self._running)} running"
        lines = [Text(f"  {job.run}  {share:.0%}", overflow="ellipsis") for job, share in self._shares()]
        self._live.update(Group(Text(f"{head}, ETA {duration(self.remaining())}"), *lines), refresh=True)

    def remaining(self) -> float:
        """Seconds until everything is done."""
        pace = self._seconds / self._flops if self._flops else self._estimate.seconds_per_flop
        left = sum(job.flops for job in self._waiting)
        left += sum(job.flops * (1 - share) for job, share in self._shares())
        at_once = min(self._estimate.at_once, len(self._waiting) + len(self._running))
        return left * pace / max(1, at_once)

    def _shares(self) -> list[tuple[Job, float]]:
        """The running jobs and how much of its training each has behind it."""
        shares = []
        for job in self._running.values():
            status = read_json(job.directory / "status.json") or {}
            shares.append((job, status.get("step", 0) / max(1, status.get("steps", 1))))
        return shares
