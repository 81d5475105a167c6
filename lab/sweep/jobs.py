"""From a question to its jobs: every variant composed, checked and told apart before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

Cell = tuple[str, str | None]
"""A variant and the option that it is tuned by: what runs that differ in nothing but the seed share."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep: a cell and a seed. ``overrides`` compose ``config`` on a command line."""

    variant: str
    option: str | None
    seed: int
    phase: str
    overrides: tuple[str, ...]
    config: Config

    @property
    def run(self) -> str:
        """The name of the run's folder in the sweep's."""
        return run_name((self.variant, self.option), self.seed)

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


def cell_name(cell: Cell) -> str:
    """``<variant>`` or ``<variant>-<option>``."""
    variant, option = cell
    return variant if option is None else f"{variant}-{option}"


def run_name(cell: Cell, seed: int) -> str:
    """``<variant>[-<option>]-s<seed>``."""
    return f"{cell_name(cell)}-s{seed}"


@dataclass(frozen=True)
class Sweep:
    """A question with everything composed that it takes to answer it.

    ``name`` is the sweep's folder below ``output``; ``cells`` hold the overrides of each cell and what they
    compose, still without a seed.
    """

    name: str
    output: str
    ablation: AblationConfig
    cells: Mapping[Cell, tuple[list[str], DictConfig]]
    _jobs: dict[tuple[str, str | None, int], Job] = field(default_factory=dict, compare=False, repr=False)

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
            self.job((variant, option), seed, SEARCH)
            for seed in self.ablation.search.seeds
            for option in self.options
            for variant in self.ablation.variants
        ]

    def compare_jobs(self, chosen: Mapping[str, str | None]) -> list[Job]:
        """Every variant that has a ``chosen`` option, with every seed: seed by seed, so that pairs fill up."""
        return [
            self.job((variant, chosen[variant]), seed, COMPARE)
            for seed in self.ablation.seeds
            for variant in self.ablation.variants
            if variant in chosen
        ]

    def job(self, cell: Cell, seed: int, phase: str) -> Job:
        """The job of a cell and a seed; raises :class:`ConfigError` where its settings cannot be used."""
        key = (*cell, seed)
        if key not in self._jobs:
            overrides, container = self.cells[cell]
            own = {"seed": seed, "output": self.output, "name": f"{self.name}/{run_name(cell, seed)}"}
            threads = container.trainer.threads or 1  # a result must not depend on how many jobs run at once
            settings = [f"{name}={value}" for name, value in {**own, "trainer.threads": threads}.items()]
            filled = container.copy()
            filled.update(own)
            filled.trainer.threads = threads
            self._jobs[key] = Job(*cell, seed, phase, tuple(merge(overrides, settings)), typed(filled))
        return self._jobs[key]


def compose_sweep(name: str, ablation: AblationConfig, shared: Sequence[str]) -> Sweep:
    """The sweep that ``ablation`` asks for, every variant composed on top of the ``shared`` overrides.

    Raises :class:`ConfigError`, with the variant's name, for anything in it that cannot be used, and where
    two variants, or two options of a variant, come to the same settings.
    """
    searched = ablation.search.options if ablation.search else {}
    cells: dict[Cell, tuple[list[str], DictConfig]] = {}
    settings: dict[Cell, dict[str, Any]] = {}
    for variant, own in ablation.variants.items():
        for option in searched or [None]:
            cell = (variant, option)
            try:
                overrides = merge(shared, own, [] if option is None else searched[option])
                container = compose_container(overrides)
                cells[cell] = (overrides, container)
                settings[cell] = plain(typed(container))
                job = Sweep(name, container.output, ablation, cells).job(cell, ablation.seeds[0], COMPARE)
                assert job.flops > 0
                job.config.evaluation.require_within(
                    job.config.model.max_positions, job.config.trainer.sequence_length
                )
            except ConfigError as error:
                raise ConfigError(f"{_where(cell)}: {error}") from error
    _check_different(settings)
    return Sweep(name, next(iter(settings.values()))["output"], ablation, cells)


def _where(cell: Cell) -> str:
    variant, option = cell
    return f"ablation.variants.{variant}" + (f" with option {option}" if option is not None else "")


def _check_different(settings: Mapping[Cell, dict[str, Any]]) -> None:
    """Raise :class:`ConfigError` where two cells are one, or their runs would be called the same."""
    before: list[Cell] = []
    for cell, own in settings.items():
        for other in before:
            if cell_name(other) == cell_name(cell):
                raise ConfigError(
                    f"{_where(cell)} cannot be used: its runs would be called {cell_name(cell)}, as those of "
                    f"{_where(other)} are."
                )
            if settings[other] == own and (other[0] == cell[0] or other[1] == cell[1]):
                raise ConfigError(
                    f"{_where(cell)} cannot be used: its settings are the same as {_where(other)}."
                )
        before.append(cell)


def merge(*lists: Sequence[str]) -> list[str]:
    """Overrides in order; of those that set one key or group, the last alone.

    Raises :class:`ConfigError` for an override that cannot be read.
    """
    parser = OverridesParser.create()
    merged: dict[str, str] = {}
    for text in (readable(text) for overrides in lists for text in overrides):
        key = parser.parse_override(text).get_key_element()
        merged.pop(key, None)
        merged[key] = text
    return list(merged.values())
