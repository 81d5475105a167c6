"""Race the contenders: the same corpus, the same training FLOPs, one table.

    python -m experiments.race
    python -m experiments.race budget_flops=1e13 seeds=[0,1,2] contenders=[k_exaone,llama]

Interrupted, the same command goes on where it was; finished, it prints the table again (``fresh=true`` runs anew).
"""

from dataclasses import dataclass, fields

from omegaconf import DictConfig

from experiments.command import run_command
from lab.config import Config, typed
from lab.errors import ConfigError
from lab.overrides import compose_container


@dataclass
class RaceSettings(Config):
    """What every contender shares, and who races; ``budget_flops`` are training FLOPs a contender and seed."""

    contenders: list[str]
    seeds: list[int]
    budget_flops: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, values in (("contenders", self.contenders), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{key}={values} cannot be used: it must name one or more, each once.")


def race(container: DictConfig, overrides: list[str]) -> None:
    """Run every contender with every seed, then print the table and write the report."""
    settings: RaceSettings = typed(container, RaceSettings)
    for override in overrides:
        if override.lstrip("+").startswith(("model=", "seed=")):
            raise ConfigError(f"{override} cannot be set in a race: use contenders=[...] and seeds=[...].")
    entries = []
    for seed in settings.seeds:
        for contender in settings.contenders:
            own = [*overrides, f"model={contender}", f"seed={seed}"]
            entries.append(shared_part(typed(compose_container(own, "race"), RaceSettings)))
    from lab.race import run_race  # torch, once the settings are known to be good

    run_race(entries, settings.budget_flops)


def shared_part(settings: RaceSettings) -> Config:
    """The configuration of a single run, without the fields that only the race has."""
    return Config(**{field.name: getattr(settings, field.name) for field in fields(Config)})


if __name__ == "__main__":
    run_command(race, "race")
