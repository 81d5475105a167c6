"""From a question to its jobs: every variant composed, checked and told apart before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from lab.config import Config, fingerprint, plain, size, typed
from lab.errors import ConfigError
from lab.overrides import compose_container, readable
from lab.sweep.config import AblationConfig

SEARCH, COMPARE = "search", "compare"


@dataclass(frozen=True)
class Job:
    """One run of a sweep: a variant, with the option it is tuned by (or None), and a seed.

    ``overrides`` compose ``config`` on a command line; ``phase`` is search or compare.
    """

    variant: str
    option: str | None
    seed: int
    phase: str
    overrides: tuple[str, ...]
    config: Config

    @property
    def run(self) -> str:
        """The name of the run's folder in the sweep's."""
        return f"{cell_name(self.variant, self.option)}-s{self.seed}"

    @property
    def directory(self) -> Path:
        """The run's folder."""
        assert self.config.name is not None
        return Path(self.config.output) / self.config.name

    @cached_property
    def fingerprint(self) -> str:
        """The run's settings in eight digits; see :func:`lab.config.fingerprint`."""
        return fingerprint(self.config)

    @cached_property
    def flops(self) -> float:
        """Training FLOPs of the whole run."""
        per_step = size(self.config).flops_per_token_training * self.config.trainer.tokens_per_step
        return self.config.trainer.steps_within_budget(per_step) * per_step

    def entry(self) -> dict[str, Any]:
        """The job as ``sweep.json`` and ``job.json`` have it."""
        return {
            "variant": self.variant,
            "option": self.option,
            "seed": self.seed,
            "run": self.run,
            "fingerprint": self.fingerprint,
            "phase": self.phase,
        }


def cell_name(variant: str, option: str | None) -> str:
    """``variant`` or ``variant-option``: what the runs that differ in nothing but the seed are called."""
    return variant if option is None else f"{variant}-{option}"


@dataclass(frozen=True)
class Sweep:
    """A question with everything composed that it takes to answer it.

    ``name`` is the sweep's folder below ``output``; ``cells`` hold the overrides and the composition of each
    variant and option, still without a seed.
    """

    name: str
    output: str
    ablation: AblationConfig
    cells: Mapping[tuple[str, str | None], tuple[list[str], DictConfig]]

    @property
    def folder(self) -> Path:
        """Where everything of the sweep lies."""
        return Path(self.output) / self.name

    @property
    def options(self) -> list[str | None]:
        """The options that each variant is tried with; None alone where nothing is searched."""
        return list(self.ablation.search.options) if self.ablation.search else [None]

    def search_jobs(self) -> list[Job]:
        """Every variant with every option and search seed; none without a search."""
        if self.ablation.search is None:
            return []
        return [
            self._job(variant, option, seed, SEARCH)
            for seed in self.ablation.search.seeds
            for option in self.options
            for variant in self.ablation.variants
        ]

    def compare_jobs(self, chosen: Mapping[str, str | None]) -> list[Job]:
        """Every variant that has a ``chosen`` option, with every seed: seed by seed, so that pairs fill up."""
        return [
            self._job(variant, chosen[variant], seed, COMPARE)
            for seed in self.ablation.seeds
            for variant in self.ablation.variants
            if variant in chosen
        ]

    def _job(self, variant: str, option: str | None, seed: int, phase: str) -> Job:
        overrides, container = self.cells[variant, option]
        run = f"{cell_name(variant, option)}-s{seed}"
        own = {"seed": seed, "output": self.output, "name": f"{self.name}/{run}"}
        threads = container.trainer.threads or 1  # a result must not depend on how many jobs run at once
        config = _typed_with(container, own, threads)
        settings = [f"{key}={value}" for key, value in {**own, "trainer.threads": threads}.items()]
        return Job(variant, option, seed, phase, tuple(merge(overrides, settings)), config)


def _typed_with(container: DictConfig, settings: Mapping[str, Any], threads: int) -> Config:
    container = container.copy()
    for key, value in settings.items():
        container[key] = value
    container.trainer.threads = threads
    config: Config = typed(container)
    return config


def compose_sweep(name: str, ablation: AblationConfig, shared: Sequence[str]) -> Sweep:
    """The sweep that ``ablation`` asks for, every variant composed on top of the ``shared`` overrides.

    Raises :class:`ConfigError`, with the variant's name, for anything in it that cannot be used, and where
    two variants, or two options of a variant, come to the same settings.
    """
    cells = {}
    searched = ablation.search.options if ablation.search else {}
    for variant, own in ablation.variants.items():
        for option in searched or [None]:
            tuned = searched[option] if option is not None else []
            where = f"ablation.variants.{variant}" + (f" with option {option}" if option is not None else "")
            try:
                overrides = merge(shared, own, tuned)
                cells[variant, option] = (overrides, compose_container(overrides))
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
    output = str(next(iter(cells.values()))[1].output)
    sweep = Sweep(name, output, ablation, cells)
    _check_cells(sweep)
    return sweep


def _check_cells(sweep: Sweep) -> None:
    """Type every cell once; raise :class:`ConfigError` where two are one."""
    seen: list[tuple[str, str | None, dict[str, Any]]] = []
    names: dict[str, tuple[str, str | None]] = {}
    for (variant, option), (_, container) in sweep.cells.items():
        where = f"ablation.variants.{variant}" + (f" with option {option}" if option is not None else "")
        try:
            settings = plain(typed(container))
            job = sweep._job(variant, option, sweep.ablation.seeds[0], COMPARE)
            assert job.flops > 0
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        name = cell_name(variant, option)
        if name in names:
            raise ConfigError(
                f"{where} cannot be used: its runs would be called {name} like those of another."
            )
        names[name] = (variant, option)
        for other, with_option, same in seen:
            if same == settings and (other == variant or with_option == option):
                pair = (
                    f"ablation.variants={other} and {variant}"
                    if other != variant
                    else f"ablation.search.options={with_option} and {option} (variant {variant})"
                )
                raise ConfigError(f"{pair} cannot be used: their settings are the same.")
        seen.append((variant, option, settings))


def merge(*lists: Sequence[str]) -> list[str]:
    """Overrides in order; of those that set one key or group, the last alone.

    Raises :class:`ConfigError` for an override that cannot be read.
    """
    parser = OverridesParser.create()
    merged: dict[str, str] = {}
    for text in (text for overrides in lists for text in overrides):
        override = parser.parse_override(readable(text))
        key = override.get_key_element()
        merged.pop(key, None)
        merged[key] = readable(text)
    return list(merged.values())
