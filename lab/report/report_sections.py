"""Sections that reports of a sweep and of a folder of runs share; each is None where the runs have nothing for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.report import blueprints
from lab.report.grids import Grid, environment_grid
from lab.report.language import Text, say
from lab.report.plots import Draw, draw
from lab.report.race import LANGUAGES, Race, Standing
from lab.report.runs import Run, unflatten
from lab.report.settings_apart import settings_apart
from lab.report.specification import Block, Code, Continuations, Listing, Paragraph, Plot, RunSet, Section
from lab.report.templates import to_yaml

LONGEST_VALUE = 72  # characters of a setting that are shown in a cell


def figure_section(key: str, drawings: Mapping[str, str], metrics: Sequence[str] = ()) -> Section | None:
    """A drawing under the heading and the text that ``key`` has in ``page/texts.yaml``."""
    if not drawings:
        return None
    title = say(key)
    return Section(
        key.replace("_", "-"), title, [Paragraph(say(f"{key}_text")), Plot(drawings, title, metrics)]
    )


def architecture_sections(race: Race) -> list[Section | None]:
    """Layer by layer, a row for each pattern that occurs, and where the parameters lie."""
    found: list[tuple[str, Draw[Race], Race]] = [
        ("layers", blueprints.layer_figure, replace(race, standings=_distinct_layers(race.standings))),
        ("parameters", blueprints.parameter_figure, race),
    ]
    return [figure_section(key, draw(figure, drawn, key, say(key).en)) for key, figure, drawn in found]


def samples_section(standings: Sequence[Standing]) -> Section | None:
    """What each series wrote, from the first of its runs that recorded samples; a block a language."""
    written = {standing.key: _samples(standing.runs) for standing in standings}
    blocks: list[Block] = []
    for language in LANGUAGES:
        texts = {key: found[language]["text"] for key, found in written.items() if language in found}
        if texts:
            prompt = next(found[language]["prompt"] for found in written.values() if language in found)
            blocks.append(Continuations(prompt, texts))
    return Section("samples", say("samples"), [Paragraph(say("samples_text")), *blocks]) if blocks else None


def settings_section(standings: Sequence[Standing], overrides: Mapping[str, Sequence[str]]) -> Section | None:
    """What each variant was told, and every setting in which the runs' configurations differ."""
    titles = {standing.key: standing.identity.title for standing in standings}
    apart = settings_apart({standing.key: standing.runs for standing in standings}).apart
    recorded = any(run.config for standing in standings for run in standing.runs)
    blocks: list[Block] = []
    if recorded:  # results that were committed hold no configurations
        blocks.append(Paragraph(say("different_text" if apart else "no_difference")))
    if overrides:
        told = [(titles[key], " ".join(given) or "–") for key, given in overrides.items()]
        blocks.append(Listing(Grid("", ("variant", "overrides"), told)))
    if apart:
        header = ["setting", *titles.values()]
        rows = [(key, *(_values(groups[name]) for name in titles)) for key, groups in apart.items()]
        blocks.append(Listing(Grid("", header, rows)))
    return Section("different", say("different"), blocks) if apart or overrides else None


def reproduce_section(race: Race, command: str) -> Section:
    """The command, where the runs ran, what they share, and each series' model in full."""
    blocks: list[Block] = [Code(command)] if command else []
    environment = environment_grid(race)
    if environment.rows:
        blocks.append(Listing(environment))
    shared = settings_apart({standing.key: standing.runs for standing in race.standings}).shared
    if shared:
        blocks.append(Code(to_yaml(unflatten(shared)), say("shared")))
    for standing in race.standings:
        config = next((run.config for run in standing.runs if run.config), None)
        if config:
            blocks.append(Code(to_yaml(config), say("settings_of", name=standing.identity.title)))
    return Section("reproduce", say("reproduce"), blocks)


def closing(runs: Sequence[Run]) -> Text:
    """The last line: what the report was made from."""
    updated = max((str(run.status.get("updated") or "") for run in runs), default="")[:16].replace("T", " ")
    return say("closing_updated", updated=updated) if updated else say("closing")


def run_set(runs: Sequence[Run], group: str) -> RunSet:
    """Where a tracker has the runs: the project that most of them name, and their groups."""
    trackers = [run.config.get("tracker") or {} for run in runs]
    projects = [str(tracker["project"]) for tracker in trackers if tracker.get("project")]
    groups = dict.fromkeys(str(tracker.get("group") or group) for tracker in trackers)
    return RunSet(max(projects, key=projects.count, default="sovereign-lab"), list(groups) or [group])


def present(sections: Sequence[Section | None]) -> list[Section]:
    """Those sections that there is something for."""
    return [section for section in sections if section is not None]


def _samples(runs: Sequence[Run]) -> Mapping[str, Mapping[str, str]]:
    """Language -> ``prompt`` and ``text``, of the first run that has any."""
    for run in runs:
        if samples := (run.results.get("measures") or {}).get("samples"):
            return samples
    return {}


def _distinct_layers(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """One standing a pattern of layers, titled by all that have it."""
    found: dict[str, list[Standing]] = {}
    for standing in standings:
        if layers := standing.architecture.get("layers"):
            found.setdefault(json.dumps(layers, sort_keys=True), []).append(standing)
    return tuple(
        replace(alike[0], identity=replace(alike[0].identity, title=_all_of(alike)))
        for alike in found.values()
    )


def _all_of(standings: Sequence[Standing]) -> str:
    more = len(standings) - 1
    return standings[0].identity.title + (f" +{more}" if more else "")


def _values(values: Sequence[Any]) -> str:
    texts = [
        json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else _written(value)
        for value in values
    ]
    text = "; ".join(texts) or "–"
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _written(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
