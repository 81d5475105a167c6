"""How far a sweep is, over its jobs: a live view on a terminal, a line a finished job elsewhere."""

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lab.files import read_json
from lab.report.formats import duration
from lab.sweep.jobs import Job
from lab.sweep.record import failure_of, results_of
from lab.sweep.results import figure

SECONDS_BETWEEN_REFRESHES = 1.0


class Progress:
    """Told of every job's start and end; says what happened and when the rest will be done.

    ``seconds_per_flop`` is the pace that is expected until jobs of this sweep have shown their own.
    """

    def __init__(self, console: Console, metric: str, at_once: int, seconds_per_flop: float) -> None:
        self._console = console
        self._metric = metric
        self._at_once = at_once
        self._expected = seconds_per_flop
        self._waiting: list[Job] = []
        self._running: dict[str, Job] = {}
        self._ended, self._total = 0, 0
        self._flops, self._seconds = 0.0, 0.0
        self._live: Live | None = None
        self._shown = 0.0

    def begin(self, title: str, jobs: Sequence[Job], done: int) -> None:
        """A phase begins: ``jobs`` to run, ``done`` more that were finished before."""
        self._waiting, self._running = list(jobs), {}
        self._ended, self._total = done, done + len(jobs)
        kept = f", {done} of them done already" if done else ""
        self._console.print(f"{title}: {self._total} jobs{kept}", soft_wrap=True)
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
        """A job has ended, well or not, after ``seconds`` if they are known."""
        self._running.pop(job.run, None)
        self._ended += 1
        results = results_of(job)
        if results is not None:
            if seconds is not None:
                self._flops += job.flops
                self._seconds += seconds
            outcome = f"{self._metric} {figure(results, self._metric):.4f}"
        else:
            outcome = f"FAILED: {failure_of(job.directory) or 'it did not finish'}"
        width = len(str(self._total))
        line = f"[{self._ended:>{width}}/{self._total}] {job.run}  {outcome}"
        line += f"  {duration(seconds)}" if seconds is not None else ""
        self._console.print(f"{line}  ETA {duration(self.remaining())}", soft_wrap=True, markup=False)

    def look(self) -> None:
        """Draw the live view anew, if there is one and it is time."""
        if self._live is None or time.monotonic() - self._shown < SECONDS_BETWEEN_REFRESHES:
            return
        self._shown = time.monotonic()
        lines = [Text(f"  {job.run}  {share:.0%}", overflow="ellipsis") for job, share in self._shares()]
        head = f"{self._ended} of {self._total} jobs, {len(self._running)} running"
        self._live.update(Group(Text(f"{head}, ETA {duration(self.remaining())}"), *lines), refresh=True)

    def remaining(self) -> float:
        """Seconds until the phase is over, at the pace of the jobs that have ended."""
        pace = self._seconds / self._flops if self._flops else self._expected
        left = sum(job.flops for job in self._waiting)
        left += sum(job.flops * (1 - share) for job, share in self._shares())
        return left * pace / max(1, min(self._at_once, len(self._waiting) + len(self._running)))

    def _shares(self) -> list[tuple[Job, float]]:
        """The running jobs and how much of its training each has behind it."""
        shares = []
        for job in self._running.values():
            status = read_json(job.directory / "status.json") or {}
            shares.append((job, status.get("step", 0) / max(1, status.get("steps", 1))))
        return shares
