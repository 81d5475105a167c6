"""The race as one page: a self-contained HTML file, in light and dark, for desk and phone."""

from __future__ import annotations

from pathlib import Path

from lab.files import write_text
from lab.report import blueprints, fairness, formats, plots
from lab.report.grids import corpus_grids, environment_grid
from lab.report.race import Race, race_table, read_race
from lab.report.reading import read_aloud
from lab.report.templates import csv_in_base64, render, table_values, to_yaml

COMMAND = "make race"


def race_report(race_folder: Path | str) -> Path:
    """Writes ``report.html`` into a race folder, whole or not at all, and returns its path.

    Raises ConfigError where the folder isn't a race folder. Runs that are missing or unfinished are named in
    the text.
    """
    race = read_race(race_folder)
    path = race.folder / "report.html"
    write_text(path, race_page(race))
    return path


def race_page(race: Race) -> str:
    """The page's HTML."""
    from markupsafe import Markup

    sentences, table = read_aloud(race), race_table(race)
    return render(
        "race.html",
        [standing.identity for standing in race.standings],
        facts=_facts(race),
        lead=sentences[0],
        sentences=sentences[1:],
        table=table,
        csv=csv_in_base64(table),
        **table_values(table),
        figures={
            name: {kind: Markup(svg) for kind, svg in svgs.items()} for name, svgs in _figures(race).items()
        },
        tokenizers_equal=fairness.tokenizers_equal(race),
        held=fairness.held_equal(race),
        corpus=corpus_grids(race.description.get("corpus", {})),
        environment=environment_grid(race),
        settings=to_yaml(fairness.shared_settings(race)),
        models=_models(race),
        command=race.description.get("command", COMMAND),
        updated=max((str(run.status.get("updated", "")) for run in race.runs), default="")[:16].replace(
            "T", " "
        ),
    )


def _figures(race: Race) -> dict[str, dict[str, str]]:
    return {
        "languages": plots.draw(
            plots.language_figure, race, "languages", "Bits per byte by language and contender"
        ),
        "loss": plots.draw(plots.loss_figure, race, "loss", "Training loss against training FLOPs"),
        "probes": plots.draw(plots.probe_figure, race, "probes", "Probe accuracy by contender"),
        "layers": plots.draw(blueprints.layer_figure, race, "layers", "Layers of each contender"),
        "parameters": plots.draw(
            blueprints.parameter_figure, race, "parameters", "Parameters of each contender"
        ),
        "cache": plots.draw(plots.cache_figure, race, "cache", "Cache bytes against context length"),
    }


def _facts(race: Race) -> list[tuple[str, str, str]]:
    """The race in four figures: English label, Korean label, value."""
    runs = len(race.standings) * len(race.seeds)
    judged = sum(len(standing.judged) for standing in race.standings)
    facts = [
        ("contenders", "참가 모델", str(len(race.standings))),
        ("runs judged", "평가한 학습", f"{judged} of {runs}"),
        ("training FLOPs each", "모델별 학습 연산량", formats.flops(race.description.get("budget_flops"))),
    ]
    tokens = [tokens for standing in race.standings if (tokens := standing.mean("training.tokens"))]
    if tokens:
        low, high = formats.count(min(tokens)), formats.count(max(tokens))
        facts.append(("training tokens each", "모델별 학습 토큰", low if low == high else f"{low}–{high}"))
    return facts


def _models(race: Race) -> list[tuple[str, str]]:
    """Each contender's model settings as YAML, from the first of its runs that has a config."""
    models = []
    for standing in race.standings:
        config = next((run.config["model"] for run in standing.runs if "model" in run.config), None)
        if config is not None:
            models.append((standing.identity.title, to_yaml(config)))
    return models
