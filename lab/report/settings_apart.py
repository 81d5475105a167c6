"""Which settings all runs share, and which set groups of runs apart, found in their resolved configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.report.runs import Run, flatten

HOUSEKEEPING = ("name", "output", "fresh")  # settings that only say where a run lies


@dataclass(frozen=True)
class Settings:
    """``shared`` is setting -> value; ``apart`` is setting -> group -> its values, more than one if its runs differ.

    Settings have dotted names; a group that lacks one has no values for it.
    """

    shared: Mapping[str, Any]
    apart: Mapping[str, Mapping[str, Sequence[Any]]]


def settings_apart(groups: Mapping[str, Sequence[Run]]) -> Settings:
    """The settings of ``groups`` of runs, seeds and housekeeping left out; runs without a configuration say nothing."""
    flat = {group: [_leaves(run.config) for run in runs if run.config] for group, runs in groups.items()}
    every = [leaves for configs in flat.values() for leaves in configs]
    shared, apart = {}, {}
    for key in dict.fromkeys(key for leaves in every for key in leaves):
        if all(key in leaves and leaves[key] == every[0][key] for leaves in every):
            shared[key] = every[0][key]
        else:
            apart[key] = {group: _distinct(key, configs) for group, configs in flat.items()}
    return Settings(shared, apart)


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in flatten(dict(config)).items()
        if key not in HOUSEKEEPING and key.rpartition(".")[2] != "seed"
    }


def _distinct(key: str, configs: Sequence[Mapping[str, Any]]) -> list[Any]:
    values: list[Any] = []
    for leaves in configs:
        if key in leaves and leaves[key] not in values:
            values.append(leaves[key])
    return values
