"""Plain tables of the page: what the corpus is made of, and where the runs ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.report import formats
from lab.report.language import Text
from lab.report.race import LANGUAGES, Race
from lab.report.runs import flatten

SPLITS = {"train": "training", "held_out": "held out"}
DIGEST_LENGTH = 12  # hexadecimal digits of a source's sha256 that are shown


@dataclass(frozen=True)
class Grid:
    """A table of texts; the first column names the row, columns of numbers stand to the right.

    Those are the columns ``right``, and those whose headings name amounts.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    right: Sequence[int] = ()

    @property
    def numeric(self) -> frozenset[int]:
        """Columns that are set to the right."""
        return frozenset(self.right) | frozenset(
            index
            for index, name in enumerate(self.header)
            if name.rpartition(" ")[2] in ("documents", "text", "tokens")
        )


def corpus_grids(manifest: Mapping[str, Any]) -> list[Grid]:
    """Amounts by language and split, then the sources with their licences, from a corpus manifest.

    ``languages`` is language -> split -> amount, ``tokens`` language -> split -> count, ``sources`` a list of
    rows of provenance, each with ``kept``: language -> amount. What a manifest doesn't hold is left out.
    """
    grids = [_amounts(manifest), _sources(manifest.get("sources", []))]
    return [grid for grid in grids if grid.rows]


def environment_grid(race: Race) -> Grid:
    """The environments of all runs in one: more than one value where runs differ."""
    environments = [flatten(run.environment) for run in race.runs if run.environment]
    rows = []
    for key in dict.fromkeys(key for environment in environments for key in environment):
        values = dict.fromkeys(_plain(environment[key]) for environment in environments if key in environment)
        rows.append((key.replace(".", " · "), "; ".join(values)))
    return Grid("Environment", (), rows)


def _amounts(manifest: Mapping[str, Any]) -> Grid:
    header = ["language"]
    for split in SPLITS.values():
        header += [f"{split} documents", f"{split} text", f"{split} tokens"]
    rows = []
    for language, splits in manifest.get("languages", {}).items():
        row = [LANGUAGES.get(language, language)]
        for split in SPLITS:
            amount = splits.get(split, {})
            tokens = manifest.get("tokens", {}).get(language, {}).get(split)
            row += [_plain(amount.get("documents")), _size(amount), formats.count(tokens)]
        rows.append(row)
    return Grid("Amounts", header, rows)


def _sources(sources: Sequence[Mapping[str, Any]]) -> Grid:
    kept = [source.get("kept", {}) for source in sources]
    languages = [language for language in LANGUAGES if any(language in amounts for amounts in kept)]
    header = [
        "source",
        "version",
        "licence",
        *(f"{LANGUAGES[language]} text" for language in languages),
        "sha256",
    ]
    rows = [
        [
            *(_plain(source.get(key)) for key in ("source", "version", "licence")),
            *(_size(amounts.get(language, {})) for language in languages),
            _plain(source.get("sha256"))[:DIGEST_LENGTH],
        ]
        for source, amounts in zip(sources, kept, strict=True)
    ]
    return Grid("Sources", header, rows)


def _size(amount: Mapping[str, Any]) -> str:
    return formats.size_in_bytes(amount["bytes"]) if "bytes" in amount else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)
