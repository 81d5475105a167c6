"""What a race held equal between contenders and what it didn't, found in the run folders and not promised.

Budgets are measured in the results. Settings are compared leaf by leaf in the resolved configs, outside
``model`` (where contenders are meant to differ) and leaving out what merely names a run or its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lab.report import formats
from lab.report.race import Race, judged_values
from lab.report.runs import Run, flatten

EQUAL_FLOPS = 0.02  # relative distance from the budget that still counts as equal
MODEL, SEED = "model", "seed"


@dataclass(frozen=True)
class Held:
    """One thing that could differ between contenders, whether it was equal, and its value or values."""

    name: str
    equal: bool
    value: str


def held_equal(race: Race) -> list[Held]:
    """Compute first, then seeds, then each section of the settings; unequal ones name what differs."""
    rows = [_compute(race), _seeds(race)]
    tokens = [tokens for standing in race.standings if (tokens := standing.mean("training.tokens"))]
    if tokens:
        rows.append(Held("Training tokens", _close(tokens, 1e-3), _range(tokens, formats.count)))
    seconds = judged_values(race.standings, "training.seconds")
    if seconds:
        rows.append(Held("Training time of a run", _close(seconds, 0.05), _range(seconds, formats.duration)))
    parameters = [size for standing in race.standings if (size := standing.mean("size.parameters_active"))]
    if parameters:
        rows.append(Held("Active parameters", _close(parameters, 1e-3), _range(parameters, formats.count)))
    return [row for row in rows if row is not None] + _settings(race)


def shared_settings(race: Race) -> dict[str, Any]:
    """The leaves, by dotted key, that have one value in every run's config, ``model`` and seeds apart."""
    return {key: values[0] for key, values in _leaves(race.runs).items() if _same(values)}


def tokenizers_equal(race: Race) -> bool:
    """Whether losses per token may be compared: every run's config has the same ``tokenizer`` section."""
    return _same([run.config.get("tokenizer") for run in race.runs if run.config])


def _compute(race: Race) -> Held | None:
    spent = judged_values(race.standings, "training.flops")
    budget = race.description.get("budget_flops")
    if not spent or not budget:
        return None
    worst = max(abs(flops / budget - 1) for flops in spent)
    value = f"{formats.flops(budget)}; every run within {math.ceil(1e4 * worst) / 100:.2f}%"
    return Held("Training FLOPs of a run", worst <= EQUAL_FLOPS, value)


def _seeds(race: Race) -> Held:
    counts = {standing.identity.title: len(standing.judged) for standing in race.standings}
    equal = _same(list(counts.values()))
    value = ", ".join(map(str, race.seeds)) if equal else _by_value(counts)
    return Held("Seeds", equal, value)


def _settings(race: Race) -> list[Held]:
    leaves = _leaves(race.runs)
    rows = []
    for section in dict.fromkeys(key.partition(".")[0] for key in leaves):
        unequal = {
            key: values
            for key, values in leaves.items()
            if key.partition(".")[0] == section and not _same(values)
        }
        title = f"Settings: {section}"
        if not unequal:
            rows.append(Held(title, True, "the same in every run"))
        rows += [Held(f"Settings: {key}", False, _by_contender(race, key)) for key in unequal]
    return rows


def _leaves(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Every setting's values, one a run that has a config, without what names the run."""
    flat = [_anonymous(run) for run in runs if run.config]
    keys = dict.fromkeys(key for config in flat for key in config)
    return {key: [config.get(key) for config in flat] for key in keys}


def _anonymous(run: Run) -> dict[str, Any]:
    leaves = {
        key: value
        for key, value in flatten(run.config).items()
        if key.partition(".")[0] != MODEL and key.rpartition(".")[2] != SEED
    }
    return {key: value for key, value in leaves.items() if not _names(run, value)}


def _names(run: Run, value: Any) -> bool:
    return isinstance(value, str) and run.contender in value


def _by_contender(race: Race, key: str) -> str:
    values: dict[str, Any] = {}
    for standing in race.standings:
        found = [flatten(run.config)[key] for run in standing.runs if key in flatten(run.config)]
        values[standing.identity.title] = found[0] if _same(found) and found else found or "not set"
    return _by_value(values)


def _by_value(values: dict[str, Any]) -> str:
    """``2 (A, B), 1 (C)``: each value with those that have it."""
    holders: dict[str, list[str]] = {}
    for holder, value in values.items():
        holders.setdefault(f"{value:,}" if isinstance(value, int) else str(value), []).append(holder)
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in holders.items())


def _same(values: Sequence[Any]) -> bool:
    return all(value == values[0] for value in values)


def _close(values: Sequence[float], tolerance: float) -> bool:
    return max(values) <= (1 + tolerance) * min(values)


def _range(values: Sequence[float], write: Callable[[float | None], str]) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"
