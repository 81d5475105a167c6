"""Train one configuration and judge it.

    python -m experiments.train model=k_exaone scale=nano
    python -m experiments.train model=solar_open model/attention=grouped_differential
    python -m experiments.train -m model=llama,motif_2 seed=0,1
    python -m experiments.train -m ablation=polynorm hydra.sweeper.dry_run=true

A run folder appears below ``output``; the same command goes on where an interrupted run was, and a finished run is
read back. ``--help`` lists the groups, ``--cfg job --resolve`` prints what would run.
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from experiments.command import run_command
from lab.config import Config, fingerprint, typed
from lab.errors import ConfigError


def train_and_judge(container: DictConfig, overrides: list[str]) -> None:
    """Run one job; prints where the results lie."""
    config: Config = typed(container)
    choices = HydraConfig.get().runtime.choices
    if HydraConfig.get().mode is RunMode.MULTIRUN:  # a launcher of Hydra has begun a job of a sweep
        from lab.sweep.worker import run_job

        run_job(config)
        return
    if choices.get("ablation"):
        raise ConfigError(f"ablation={choices['ablation']} cannot be run without -m: it names many runs.")
    from lab import job  # torch, once the settings are known to be good
    from lab.trainer.tracker import RunIdentity

    experiment = choices.get("experiment") or "train"
    variant = f"{config.model.name}-{container.scale.name}-{fingerprint(config)}"
    directory = Path(config.output) / (config.name or f"{experiment}/{variant}-s{config.seed}")
    results = job.run(config, directory, RunIdentity(experiment, variant, config.seed))
    if recall := results["measures"].get("recall"):
        found = ", ".join(f"{value:.1%} of {number} pairs" for number, value in recall["accuracy"].items())
        print(f"held-out recall: {found}\nrun folder: {directory.resolve()}")
        return
    bits = ", ".join(f"{language} {value:.3f}" for language, value in results["bits_per_byte"].items())
    probes = ", ".join(f"{name} {probe['accuracy']:.1%}" for name, probe in results["probes"].items())
    print(f"held-out bits per byte: {bits}" + (f"; probes: {probes}" if probes else ""))
    print(f"run folder: {directory.resolve()}")
    print(f'try it: python -m experiments.generate checkpoint={directory} prompt="대한민국"')


if __name__ == "__main__":
    run_command(train_and_judge)
