"""``hydra/sweeper=ablation``: the sweeps of :mod:`lab.sweep` on whatever launcher is chosen."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class AblationSweeper(Sweeper):
    """Runs the ablation, or the combinations of values, that a command line with ``-m`` names.

    ``dry_run`` says what would run and what it would cost, and stops. Everything of the project is imported
    when there is a sweep to run, as Hydra imports this file for every command.
    """

    def __init__(self, dry_run: bool = False) -> None:
        self._dry_run = dry_run
        self._launcher: Launcher | None = None
        self._config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that the command line chose."""
        from experiments.command import ends_in_a_sentence
        from lab.errors import ConfigError

        self._config = config
        try:
            self._launcher = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )
        except Exception as error:
            name = config.hydra.runtime.choices.get("hydra/launcher")
            with ends_in_a_sentence():
                raise ConfigError(
                    f"hydra/launcher={name} cannot be used here ({str(error).splitlines()[0]}): "
                    'launchers other than cores need pip install -e ".[launchers]".'
                ) from error

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep; ends the process with status 1 where a job failed, 2 for settings of no use."""
        from rich.console import Console

        from experiments.command import ends_in_a_sentence
        from hydra_plugins.lab_sweep.launcher import CoresLauncher, ThroughHydra
        from lab.errors import ConfigError
        from lab.sweep.command import sweep_of_command
        from lab.sweep.cores import SweepInterrupted
        from lab.sweep.run import Cores, complete, preview
        from lab.sweep.run import Launcher as JobLauncher

        assert self._config is not None
        assert self._launcher is not None
        console = Console(highlight=False)
        with ends_in_a_sentence():
            if self._config.hydra.job.config_name != "config":
                raise ConfigError("-m cannot be used here: only experiments.train runs sweeps.")
            launcher: JobLauncher
            if isinstance(self._launcher, CoresLauncher):
                launcher = Cores(self._launcher.jobs_at_once)
            else:
                launcher = ThroughHydra(self._launcher, console)
            sweep = sweep_of_command(arguments)
            if self._dry_run:
                preview(sweep, launcher, console)
                return
            try:
                failed = complete(sweep, launcher, console, fresh=self._config.fresh)
            except SweepInterrupted as stop:
                console.print(stop.sentence, soft_wrap=True)
                raise
        if failed:
            raise SystemExit(1)
