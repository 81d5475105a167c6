"""``hydra/launcher=cores``, and other launchers of Hydra as :mod:`lab.sweep` uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from rich.console import Console

    from lab.sweep.jobs import Job
    from lab.sweep.progress import Progress


class CoresLauncher(Launcher):
    """A process a job, ``jobs_at_once`` at a time (None: a job a GPU or a core); see :mod:`lab.sweep.cores`."""

    def __init__(self, jobs_at_once: int | None = None) -> None:
        self.jobs_at_once = jobs_at_once

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing: jobs do not go through Hydra's task function."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
        """Refuse, in one sentence: another sweeper than this project's knows overrides, not jobs."""
        from experiments.command import ends_in_a_sentence
        from lab.errors import ConfigError

        with ends_in_a_sentence():
            raise ConfigError("hydra/launcher=cores cannot be used here: it needs hydra/sweeper=ablation.")


class ThroughHydra:
    """A launcher of Hydra (submitit, Ray, joblib): it composes each job from its overrides and runs the command."""

    def __init__(self, launcher: Launcher, console: Console) -> None:
        self._launcher = launcher
        self._console = console
        self._launched = 0

    def jobs_at_once(self, threads: int, gpus: int) -> int:
        """One, as it is unknown: the estimate is then of all jobs in a row."""
        return 1

    def launch(self, jobs: Sequence[Job], gpus: int, progress: Progress) -> None:
        """Run every job, then tell how each went."""
        for job in jobs:
            progress.start(job)
        first, self._launched = self._launched, self._launched + len(jobs)
        try:
            self._launcher.launch([list(job.overrides) for job in jobs], initial_job_idx=first)
        except Exception as error:  # one lost job must not cost the others' results
            self._console.print(f"The launcher reports {type(error).__name__}: {error}", markup=False)
        for job in jobs:
            progress.finish(job, None)
