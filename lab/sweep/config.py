"""What a sweep asks: the node ``ablation`` of a configuration, checked. Torch-free."""

import re
from dataclasses import dataclass, field

from lab.checks import require, require_choice
from lab.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
"""What a variant or an option may be called: its name is part of a folder's."""


@dataclass
class SearchConfig:
    """Settings tried for every variant before the comparison, on seeds that the comparison does not use.

    ``options`` are overrides by name; the option with the best mean metric over ``seeds`` is a variant's own.
    """

    options: dict[str, list[str]]
    seeds: list[int]

    def __post_init__(self) -> None:
        _require_names("ablation.search.options", self.options)
        _require_seeds("ablation.search.seeds", self.seeds)


@dataclass
class AblationConfig:
    """One question put to runs that differ in one thing.

    ``variants`` are overrides by name, each run with every one of ``seeds``, so that they are paired by seed.
    ``metric`` is a dotted key of ``results.json`` that decides, ``better`` says which way; ``also`` are further
    keys for the table. Raises :class:`ConfigError` in one sentence.
    """

    question: str
    baseline: str
    variants: dict[str, list[str]]
    seeds: list[int]
    metric: str = "bits_per_byte.ko"
    better: str = "lower"
    also: list[str] = field(default_factory=list)
    claim: str | None = None
    search: SearchConfig | None = None

    def __post_init__(self) -> None:
        _require_names("ablation.variants", self.variants)
        require_choice("ablation.baseline", self.baseline, list(self.variants))
        _require_seeds("ablation.seeds", self.seeds)
        require_choice("ablation.better", self.better, ("lower", "higher"))
        for key, metric in [("metric", self.metric), *(("also", metric) for metric in self.also)]:
            require(bool(metric), f"ablation.{key}", repr(metric), "it must be a key of results.json")
        if self.search and (shared := sorted(set(self.seeds) & set(self.search.seeds))):
            raise ConfigError(
                f"ablation.search.seeds={self.search.seeds} cannot be used: {shared} are among ablation.seeds, "
                "and what is chosen on a seed must not be compared on it."
            )


def _require_names(key: str, named: dict[str, list[str]]) -> None:
    require(bool(named), key, named, "it must name one or more")
    for name in named:
        require(bool(NAME.fullmatch(name)), key, name, "a name is made of letters, digits and _ . + -")


def _require_seeds(key: str, seeds: list[int]) -> None:
    usable = bool(seeds) and len(set(seeds)) == len(seeds) and min(seeds) >= 0
    require(usable, key, seeds, "it must list one or more seeds, each at least 0 and once")
