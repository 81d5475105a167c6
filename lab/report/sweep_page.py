"""The report of a sweep: its question, its verdicts, and everything that they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.report import formats
from lab.report.grids import Grid
from lab.report.language import Text, say, translated
from lab.report.race import LANGUAGES, Race, Standing
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
from lab.report.specification import (
    Block,
    Bullets,
    Fact,
    Listing,
    Paragraph,
    Plot,
    Report,
    Section,
    Standings,
)
from lab.report.sweep_jobs import Job, Sweep
from lab.report.sweep_plots import series_key, sweep_figures, variant_identities
from lab.report.sweep_table import entry_table, sweep_table
from lab.report.sweep_verdicts import verdicts
from lab.report.tables import Table

TRAINED = ("parameters_total", "parameters_active", "training_flops", "training_tokens")
TRACKED = "bits_per_byte."  # the section of results.json that a run tells its tracker


def sweep_report(sweep: Sweep, command: str = "") -> Report:
    """The report of ``sweep``, finished or not; what is missing is said in it.

    ``command`` is what runs it again, where the sweep itself has not recorded it.
    """
    identities = variant_identities(sweep)
    race = _as_race(sweep)
    figures = sweep_figures(sweep)
    runs = [job.run for job in sweep.jobs if job.run]
    sections = [
        _results(sweep),
        figure_section("figure_metric", figures.pop("metric", {}), _logged(sweep.metric)),
        figure_section("figure_curves", figures.pop("curves", {}), ["train/loss"]),
        figure_section("figure_search", figures.pop("search", {})),
        *(_mapping(sweep, key, drawings) for key, drawings in figures.items()),
        samples_section(race.standings),
        settings_section(
            race.standings, {identities[name].key: given for name, given in sweep.variants.items()}
        ),
        *architecture_sections(race),
        _cost(sweep),
        _problems(sweep),
        reproduce_section(race, str(sweep.description.get("command") or command)),
        Section("limits", say("limits"), [Bullets([say("limit_scale"), say("limit_seeds")])]),
    ]
    return Report(
        kind=say("sweep"),
        title=sweep.question or sweep.name,
        claim=sweep.claim,
        facts=_facts(sweep),
        verdicts=_verdicts(sweep),
        sections=present(sections),
        identities=list(identities.values()),
        run_set=run_set(runs, sweep.name),
        closing=closing(runs),
    )


def _as_race(sweep: Sweep) -> Race:
    """The variants and their compared runs as the drawings of a race take them."""
    standings = [
        Standing(identity, tuple(job.run for job in sweep.of(variant) if job.run))
        for variant, identity in variant_identities(sweep).items()
    ]
    return Race(sweep.folder, {"seeds": sweep.seeds}, tuple(standings), ())


def _facts(sweep: Sweep) -> list[Fact]:
    done = sum(job.finished for job in sweep.jobs)
    facts = [
        Fact(say("variants"), str(len(sweep.variants))),
        Fact(say("runs_done"), f"{done} / {len(sweep.jobs)}"),
    ]
    if spent := _figures(sweep.jobs, "training.flops"):
        facts.append(Fact(say("flops_each"), _range(formats.flops(min(spent)), formats.flops(max(spent)))))
    return [*facts, Fact(say("core_hours"), _hours(sum(job.core_hours for job in sweep.jobs)))]


def _verdicts(sweep: Sweep) -> list[Text]:
    """What the test allows to be said, and how many runs are missing from it."""
    if not any(sweep.by_seed(variant, sweep.metric) for variant in sweep.variants):
        return [say("nothing_yet")]
    found = [translated(verdict) for verdict in verdicts(sweep)]
    missing = sum(not job.finished for job in sweep.jobs)
    return found + ([say("unfinished", missing=missing, total=len(sweep.jobs))] if missing else [])


def _results(sweep: Sweep) -> Section:
    """What decides in one table, further metrics in another, so that the first fits a page."""
    table = _keyed(sweep_table(sweep), sweep)
    told = {*sweep.notes, *sweep.problems}  # these have a section of their own
    notes = [note for note in table.notes if note not in told]
    columns = {column.key: column for column in table.columns}
    deciding = [columns.pop(key) for key in ("variant", *_deciding(sweep.metric), *TRAINED)]
    further = [column for key, column in columns.items() if key != "core_hours"]  # which stand under Cost
    blocks: list[Block] = [Standings(replace(table, columns=deciding, notes=notes), "table.csv", whole=table)]
    if further:
        blocks.append(Standings(replace(table, columns=[deciding[0], *further], notes=[])))
    return Section("results", say("results"), blocks)


def _deciding(metric: str) -> tuple[str, ...]:
    """The columns that decide: they come first, where a phone shows them."""
    return metric, f"{metric}_difference", f"{metric}_p", "outcome", "seeds"


def _mapping(sweep: Sweep, key: str, drawings: dict[str, str]) -> Section:
    """A further metric that is a mapping, such as bits per byte by length: its figure and its table."""
    place, _, language = key.rpartition(".")
    known = place == "measures.long_context" and language in LANGUAGES
    title = say("long_context", language=translated(LANGUAGES[language])) if known else translated(key)
    table = Standings(_keyed(entry_table(sweep, key), sweep), f"{key}.csv")
    blocks: list[Block] = [Paragraph(say("figure_mapping_text")), Plot(drawings, title), table]
    return Section(series_key(key.replace(".", "-")), title, blocks)


def _keyed(table: Table, sweep: Sweep) -> Table:
    """The table with rows named as the page names its series."""
    identities = variant_identities(sweep)
    return replace(table, rows=[replace(row, key=identities[row.key].key) for row in table.rows])


def _cost(sweep: Sweep) -> Section | None:
    """What each variant's runs took, and all of them together."""
    if not any(job.run for job in sweep.jobs):
        return None
    rows = [
        _cost_row(variant, [job for job in sweep.jobs if job.variant == variant])
        for variant in sweep.variants
    ]
    rows.append(_cost_row(say("total"), sweep.jobs))
    header = ("variant", "runs", "training FLOPs", "training tokens", "training time", "core-hours")
    grid = Grid("", header, rows, right=range(1, len(header)))
    return Section("cost", say("cost"), [Paragraph(say("cost_text")), Listing(grid)])


def _cost_row(name: str | Text, jobs: Sequence[Job]) -> list[str | Text]:
    return [
        name,
        f"{sum(job.run is not None for job in jobs)}",
        formats.flops(sum(_figures(jobs, "training.flops"))),
        formats.count(sum(_figures(jobs, "training.tokens"))),
        formats.duration(sum(_figures(jobs, "training.seconds"))),
        _hours(sum(job.core_hours for job in jobs)),
    ]


def _problems(sweep: Sweep) -> Section | None:
    told = [translated(problem) for problem in (*sweep.notes, *sweep.problems)]
    if not told:
        return None
    return Section("problems", say("problems"), [Paragraph(say("problems_text")), Bullets(told)])


def _figures(jobs: Sequence[Job], key: str) -> list[float]:
    return [job.figures[key] for job in jobs if key in job.figures]


def _logged(metric: str) -> list[str]:
    """The name under which a tracker has a figure of results.json, if it is one of those that are told."""
    return [f"eval/{metric.replace('.', '/')}"] if metric.startswith(TRACKED) else []


def _hours(hours: float) -> str:
    return formats.decimal(hours, 1 if hours >= 10 else 2 if hours >= 0.1 else 4)


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} – {high}"
