"""The report of a folder of runs that no sweep holds together: what there is, what it reached, how it was set."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import ConfigError
from lab.report import formats, plots
from lab.report.contenders import Identity, palette
from lab.report.language import Text, say, translated
from lab.report.race import LANGUAGES, Race, Spread, Standing
from lab.report.report_sections import (
    architecture_sections,
    closing,
    figure_section,
    present,
    reproduce_section,
    run_set,
    samples_section,
    settings_section,
)
from lab.report.runs import Run, read_runs, split_run_name
from lab.report.specification import Bullets, Fact, Paragraph, Report, Section, Standings
from lab.report.sweep_checks import conditions
from lab.report.tables import Cell, Column, Row, Table

SECOND_ROUND = (4, 1.5)  # dash of series that wear a colour for the second time


def runs_report(folder: Path | str) -> Report:
    """The report of the runs at or beneath ``folder``; runs that differ in their seed alone share a row.

    Raises ConfigError where there is no run.
    """
    folder = Path(folder)
    runs = read_runs(folder)
    if not runs:
        raise ConfigError(f"runs={folder} holds no run: it must be a folder that training has written.")
    race = Race(folder, {"seeds": []}, _standings(folder, runs), ())
    alike = _judged_alike(race.standings)
    sections = [
        *(_results(place, len(alike), standings) for place, standings in enumerate(alike)),
        *(
            section
            for place, standings in enumerate(alike)
            for section in _figures(Race(folder, {}, tuple(standings), ()), place, len(alike))
        ),
        samples_section(race.standings),
        settings_section(race.standings, {}),
        *architecture_sections(race),
        _problems(runs, folder),
        reproduce_section(race, ""),
        Section(
            "limits", say("limits"), [Bullets([say("limit_runs"), say("limit_losses"), say("limit_scale")])]
        ),
    ]
    return Report(
        kind=say("runs"),
        title=folder.resolve().name,
        claim="",
        facts=_facts(race),
        verdicts=[],
        sections=present(sections),
        identities=[standing.identity for standing in race.standings],
        run_set=run_set(runs, "train"),
        closing=closing(runs),
    )


def _standings(folder: Path, runs: Sequence[Run]) -> tuple[Standing, ...]:
    """Runs by the name of their folder without its seed, each with colours of its own."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        place = run.folder.relative_to(folder)
        name = (place.parent / split_run_name(run.name)[0]).as_posix() if place.parts else run.name
        groups.setdefault(name, []).append(run)
    colours = palette()
    standings = []
    for number, (name, found) in enumerate(groups.items()):
        turn, colour = divmod(number, len(colours))
        key = f"{number}-{re.sub(r'[^A-Za-z0-9_-]', '_', name)}"
        dash = SECOND_ROUND if turn else ()
        standings.append(Standing(Identity(key, name, "", *colours[colour], dash), tuple(found)))
    return tuple(standings)


def _judged_alike(standings: Sequence[Standing]) -> list[list[Standing]]:
    """The standings in groups that one table may hold: same tokenizer, corpus, evaluation and held-out text.

    What a run hasn't recorded yet keeps it out of no group.
    """
    groups: list[tuple[dict[str, str], list[Standing]]] = []
    for standing in standings:
        known = {
            name: json.dumps(value, sort_keys=True)
            for run in standing.runs
            for name, value in conditions(run).items()
            if value is not None
        }
        for shared, members in groups:
            if all(shared.get(name, value) == value for name, value in known.items()):
                shared |= known
                members.append(standing)
                break
        else:
            groups.append((known, [standing]))
    return [members for _, members in groups]


def _results(place: int, of: int, standings: Sequence[Standing]) -> Section:
    table = Table(_columns(standings), [Row(standing.key, _cells(standing)) for standing in standings])
    note = [Paragraph(say("judged_alike"))] if of > 1 else []
    return Section(
        _numbered("results", place), _titled("results", place, of), [*note, Standings(table, "runs.csv")]
    )


def _figures(race: Race, place: int, of: int) -> list[Section]:
    """Bits per byte and learning curves of runs that were judged alike."""
    drawn = {
        "figure_languages": plots.draw(
            plots.language_figure, race, _numbered("languages", place), say("figure_languages").en
        ),
        "figure_curves": plots.draw(
            plots.loss_figure, race, _numbered("curves", place), say("figure_curves").en
        ),
    }
    logged = {
        "figure_curves": ["train/loss"],
        "figure_languages": [f"eval/bits_per_byte/{name}" for name in LANGUAGES],
    }
    return [
        Section(_numbered(key, place), _titled(key, place, of), section.blocks)
        for key, drawings in drawn.items()
        if (section := figure_section(key, drawings, logged[key]))
    ]


def _columns(standings: Sequence[Standing]) -> list[Column]:
    judged = [name for name in LANGUAGES if any(standing.bits_per_byte(name) for standing in standings)]
    return [
        Column("run", "Run"),
        Column("state", "State"),
        Column("parameters_total", "total", "Parameters"),
        Column("parameters_active", "active", "Parameters"),
        Column("flops", "FLOPs", "Training"),
        Column("tokens", "tokens", "Training"),
        Column("final_loss", "final loss", "Training"),
        *(Column(f"bits_per_byte_{name}", LANGUAGES[name], "Bits/byte", "lower") for name in judged),
    ]


def _cells(standing: Standing) -> Mapping[str, Cell]:
    done = sum(run.state == "done" for run in standing.runs)
    state = "done" if done == len(standing.runs) else f"{done} of {len(standing.runs)} done"
    seeds = ", ".join(str(run.seed) for run in standing.runs if run.seed is not None)
    loss = standing.figure("training.final_loss")
    return {
        "run": Cell(standing.identity.title, standing.identity.title, f"seeds {seeds}" if seeds else ""),
        "state": Cell(state, state),
        **{
            name: Cell(write(value), value)
            for name, value, write in (
                ("parameters_total", standing.mean("size.parameters_total"), formats.count),
                ("parameters_active", standing.mean("size.parameters_active"), formats.count),
                ("flops", standing.mean("training.flops"), formats.flops),
                ("tokens", standing.mean("training.tokens"), formats.count),
            )
        },
        "final_loss": _spread(loss),
        **{f"bits_per_byte_{name}": _spread(standing.bits_per_byte(name)) for name in LANGUAGES},
    }


def _spread(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell()
    note = "" if spread.sd is None else f"±{formats.decimal(spread.sd)}"
    return Cell(formats.decimal(spread.mean), spread.mean, note, {"sd": spread.sd, "n": spread.n})


def _facts(race: Race) -> list[Fact]:
    done = sum(run.state == "done" for run in race.runs)
    facts = [
        Fact(say("groups"), str(len(race.standings))),
        Fact(say("runs_done"), f"{done} / {len(race.runs)}"),
    ]
    spent = [spread for standing in race.standings if (spread := standing.figure("training.flops"))]
    if spent:
        total = sum(sum(one.values) for one in spent)
        facts.append(Fact(say("flops_total"), formats.flops(total)))
    return facts


def _problems(runs: Sequence[Run], folder: Path) -> Section | None:
    """Runs that failed or go on, and files that are missing or damaged."""
    told = []
    for run in runs:
        name = run.folder.relative_to(folder).as_posix() if run.folder != folder else run.name
        if run.state == "failed":
            error = str(run.status.get("error") or "no cause recorded").rstrip(".")
            told.append(translated(f"{name} failed: {error}."))
        elif run.state != "done":
            told.append(say("not_done", name=name, state=translated(run.state)))
        elif run.problems:
            told.append(say("damaged", name=name, files=translated(", ".join(run.problems))))
    if not told:
        return None
    return Section("problems", say("problems"), [Bullets(told)])


def _numbered(key: str, place: int) -> str:
    return f"{key.replace('_', '-')}-{place + 1}" if place else key.replace("_", "-")


def _titled(key: str, place: int, of: int) -> Text:
    title = say(key)
    return (
        title if of == 1 else Text(f"{title.en} ({place + 1} of {of})", f"{title.ko} ({of} 중 {place + 1})")
    )
