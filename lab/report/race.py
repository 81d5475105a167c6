"""A race folder as standings: what each contender reached, over its seeds, and the table of it.

A race folder holds ``race.json`` (contenders, seeds, budget, corpus, yardsticks) and one run folder
``<contender>-s<seed>`` a run. Contenders are compared in bits per byte, which no tokenizer can flatter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lab.errors import ConfigError
from lab.report import formats
from lab.report.contenders import Identity, identities
from lab.report.runs import Run, flatten, read_mapping, read_run
from lab.report.tables import Cell, Column, Row, Table

LANGUAGES = {"ko": "Korean", "en": "English", "code": "Code"}
YARDSTICKS = {"bigram": "Bigram", "five_gram": "5-gram", "xz": "xz"}
PROBES = {"object_particle": "Object particle", "particle_role": "Particle role"}
CACHE_CONTEXT = 32_768  # tokens at which the table states the cache's size


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: its mean, its sample standard deviation (None for one seed) and the values."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def n(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Probe:
    """Accuracy on a probe. ``low`` and ``high`` bound it at 95% for the sample of items, averaged over seeds.

    Seeds answer the same items, so their answers aren't pooled: ``accuracy.sd`` is the spread over seeds.
    """

    accuracy: Spread
    low: float
    high: float
    chance: float
    num_items: int

    @property
    def above_chance(self) -> bool:
        return self.low > self.chance


@dataclass(frozen=True)
class Standing:
    """One contender in a race: its runs by seed, and its figures over those that were judged."""

    identity: Identity
    runs: tuple[Run, ...]

    @property
    def key(self) -> str:
        return self.identity.key

    @cached_property
    def judged(self) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.judged)

    @cached_property
    def architecture(self) -> dict[str, Any]:
        """Layers and parts as the first run that knows them wrote them; empty where none did."""
        return next((run.architecture for run in self.runs if run.architecture), {})

    def figure(self, path: str) -> Spread | None:
        """The figure at a dotted ``path`` of results.json, such as ``bits_per_byte.ko``, over judged runs."""
        values = [flatten(run.results).get(path) for run in self.judged]
        numbers = tuple(float(value) for value in values if isinstance(value, int | float))
        finite = tuple(number for number in numbers if math.isfinite(number))
        return Spread(finite) if finite else None

    def mean(self, path: str) -> float | None:
        spread = self.figure(path)
        return spread.mean if spread else None

    def bits_per_byte(self, language: str) -> Spread | None:
        return self.figure(f"bits_per_byte.{language}")

    def probe(self, name: str) -> Probe | None:
        parts = [
            self.figure(f"probes.{name}.{part}")
            for part in ("accuracy", "low", "high", "chance", "num_items")
        ]
        if any(part is None for part in parts):
            return None
        accuracy, low, high, chance, num_items = (part for part in parts if part is not None)
        return Probe(accuracy, low.mean, high.mean, chance.mean, round(num_items.mean))

    def cache_bytes(self, context: int) -> float | None:
        """Bytes of key-value cache and state after ``context`` tokens, at or beyond the widest window."""
        per_token, fixed = self.mean("size.cache_bytes_per_token"), self.mean("size.cache_bytes_fixed")
        return None if per_token is None else (fixed or 0.0) + per_token * context


@dataclass(frozen=True)
class Race:
    """``standings`` are sorted by Korean bits per byte, best first, contenders without a result last."""

    folder: Path
    description: dict[str, Any]
    standings: tuple[Standing, ...]
    problems: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        return [run for standing in self.standings for run in standing.runs]

    @property
    def seeds(self) -> list[int]:
        return list(self.description["seeds"])

    @property
    def yardsticks(self) -> dict[str, dict[str, float]]:
        return dict(self.description.get("yardsticks", {}))

    @cached_property
    def probes(self) -> list[str]:
        """Names of the probes that any contender took, in the order of the results."""
        return list(dict.fromkeys(name for run in self.runs for name in run.results.get("probes", {})))


def read_race(folder: Path | str) -> Race:
    """Reads a race folder as far as it goes.

    Raises ConfigError where the folder or its ``race.json`` is missing or names no contenders and seeds. Runs
    that are missing, unfinished or failed are named in :attr:`Race.problems`.
    """
    folder = Path(folder)
    try:
        description = read_mapping(folder / "race.json")
        contenders, seeds = [str(key) for key in description["contenders"]], list(description["seeds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"race folder = '{folder}' can't be read ({type(error).__name__} in race.json); "
            "allowed is a folder whose race.json names contenders and seeds."
        ) from error
    for key in contenders:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise ConfigError(
                f"contenders = '{key}' can't be shown; allowed are letters, digits, '_' and '-'."
            )
    problems: list[str] = []
    standings = []
    for key, identity in identities(contenders).items():
        runs = [_read_present(folder / f"{key}-s{seed}", problems) for seed in seeds]
        standings.append(Standing(identity, tuple(run for run in runs if run)))
    standings.sort(key=_korean_first)
    return Race(folder, description, tuple(standings), tuple(problems))


def race_table(race: Race, cache_context: int = CACHE_CONTEXT) -> Table:
    """The race table: a row a contender, best Korean first; yardsticks as reference rows beneath."""
    columns = _columns(race, cache_context)
    rows = [Row(standing.key, _cells(standing, race, cache_context)) for standing in race.standings]
    references = [
        Row(
            key,
            {"contender": Cell(YARDSTICKS.get(key, key), key)}
            | {f"bits_per_byte_{language}": _number(figures.get(language)) for language in LANGUAGES},
        )
        for key, figures in race.yardsticks.items()
    ]
    return Table(columns, rows, references, _notes(race, cache_context))


def _notes(race: Race, cache_context: int) -> Sequence[str]:
    notes = [
        "Bits per byte on held-out text: lower is better. Means over seeds, ± the sample standard deviation "
        "where there is more than one seed; bold is the best mean.",
        "Probes: accuracy and the 95% interval of the item sample; faint where the interval reaches chance.",
        f"Cache: bytes for each token of context, and in all at {cache_context:,} tokens.",
    ]
    if tokens := race.description.get("yardstick_tokens"):
        names = ", ".join(YARDSTICKS.get(key, key) for key in race.yardsticks)
        notes.append(f"Yardsticks: {names}, shown {formats.count(tokens)} tokens of the training text.")
    return notes


def _read_present(folder: Path, problems: list[str]) -> Run | None:
    if not folder.is_dir():
        problems.append(f"{folder.name} is missing")
        return None
    run = read_run(folder)
    if not run.judged:
        reached = (
            f" at step {run.status['step']} of {run.status.get('steps', '?')}" if "step" in run.status else ""
        )
        cause = f": {run.status['error']}" if run.status.get("error") else ""
        problems.append(f"{run.name} has no results ({run.state}{reached}{cause})")
    return run


def _korean_first(standing: Standing) -> float:
    korean = standing.bits_per_byte("ko")
    return korean.mean if korean else math.inf


def _columns(race: Race, cache_context: int) -> Sequence[Column]:
    bits = [
        Column(f"bits_per_byte_{language}", title, "Bits/byte", "lower", rank=index)
        for index, (language, title) in enumerate(LANGUAGES.items())
    ]
    probes = [Column(f"probe_{name}", *_probe_heading(name), "higher", rank=4) for name in race.probes]
    context = f"at {cache_context // 1024}k" if cache_context % 1024 == 0 else f"at {cache_context:,}"
    return (
        Column("contender", "Contender"),
        *bits,
        *probes,
        Column("train_tokens_per_second", "train", "Tokens/s", "higher", rank=6),
        Column("decode_tokens_per_second", "decode", "Tokens/s", "higher", under="train_tokens_per_second"),
        Column("cache_bytes_per_token", "per token", "Cache", "lower", rank=8),
        Column("cache_bytes_at_context", context, "Cache", "lower", under="cache_bytes_per_token"),
        Column("parameters_total", "total", "Parameters", rank=7),
        Column("parameters_active", "active", "Parameters", under="parameters_total"),
        Column("training_tokens", "tokens", "Training", rank=5),
        Column("seeds", "seeds", "Training", under="training_tokens"),
    )


def _probe_heading(name: str) -> tuple[str, str]:
    """Title and group of a probe's column: its last word beneath the others, to keep the column narrow."""
    group, _, title = PROBES.get(name, name.replace("_", " ").capitalize()).rpartition(" ")
    return title, group


def _cells(standing: Standing, race: Race, cache_context: int) -> Mapping[str, Cell]:
    cells = {
        "contender": Cell(standing.identity.title, standing.key, standing.identity.maker),
        "seeds": Cell(str(len(standing.judged)), len(standing.judged)),
        "train_tokens_per_second": _counted(standing.mean("throughput.train_tokens_per_second")),
        "decode_tokens_per_second": _counted(standing.mean("throughput.decode_tokens_per_second")),
        "cache_bytes_per_token": _counted(standing.mean("size.cache_bytes_per_token"), formats.size_in_bytes),
        "cache_bytes_at_context": _counted(standing.cache_bytes(cache_context), formats.size_in_bytes),
        "parameters_total": _counted(standing.mean("size.parameters_total")),
        "parameters_active": _counted(standing.mean("size.parameters_active")),
        "training_tokens": _counted(standing.mean("training.tokens")),
    }
    for language in LANGUAGES:
        cells[f"bits_per_byte_{language}"] = _spread_cell(standing.bits_per_byte(language))
    for name in race.probes:
        cells[f"probe_{name}"] = _probe_cell(standing.probe(name))
    return cells


def _number(value: float | None) -> Cell:
    return Cell(formats.decimal(value), value)


def _counted(value: float | None, write: Callable[[float | None], str] = formats.count) -> Cell:
    return Cell(write(value), value)


def _spread_cell(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell()
    note = "" if spread.sd is None else f"±{formats.decimal(spread.sd)}"
    return Cell(formats.decimal(spread.mean), spread.mean, note, {"sd": spread.sd, "n": spread.n})


def _probe_cell(probe: Probe | None) -> Cell:
    if probe is None:
        return Cell()
    interval = f"{100 * probe.low:.0f}–{100 * probe.high:.0f}"
    more = {"low": probe.low, "high": probe.high, "sd": probe.accuracy.sd, "chance": probe.chance}
    mean = probe.accuracy.mean
    return Cell(formats.percent(mean), mean, interval, more, faint=not probe.above_chance)


def judged_values(standings: Iterable[Standing], path: str) -> list[float]:
    """Every judged run's figure at ``path``, over all ``standings``."""
    return [value for standing in standings if (spread := standing.figure(path)) for value in spread.values]
