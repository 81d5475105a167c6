"""A race: contenders trained for equal FLOPs on one corpus, judged alike, shown in one table."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lab import job
from lab.config import Config, fingerprint
from lab.data.corpus import Corpus, prepare, texts_of
from lab.data.loader import stream_tokens
from lab.evaluation.yardsticks import yardsticks
from lab.files import read_json, write_json, write_text
from lab.report.html import race_report
from lab.report.race import race_table, read_race
from lab.report.reading import read_aloud
from lab.report.tables import to_console, to_csv, to_markdown
from lab.trainer.tracker import RunIdentity


def run_race(entries: Sequence[Config], budget: float, console: Console | None = None) -> Path:
    """Run every entry, write the race's record, tables and report; returns the race folder.

    Entries are runs of different contenders or seeds that share everything else. Finished runs are read back and an
    interrupted one goes on, so the same call completes whatever is missing.
    """
    console = console or Console(highlight=False)
    first = entries[0]
    folder = race_folder(entries)
    corpus = prepare(first.data, first.tokenizer, job.cache_directory(), console.print)
    for number, config in enumerate(entries, 1):
        name = config.model.name
        console.rule(f"{number} of {len(entries)}: {name}, seed {config.seed}", align="left")
        job.run(config, folder / f"{name}-s{config.seed}", RunIdentity("race", name, config.seed), corpus)
    record(folder, entries, budget, corpus, console)
    present(folder, console)
    return folder


def race_folder(entries: Sequence[Config]) -> Path:
    """``<output>/<name>``, or ``<output>/race/<digits>`` that depend on every entry's settings."""
    first = entries[0]
    prints = sorted(fingerprint(config) for config in entries)
    digits = hashlib.sha256(" ".join(prints).encode()).hexdigest()[:8]
    return Path(first.output) / (first.name or f"race/{digits}")


def record(folder: Path, entries: Sequence[Config], budget: float, corpus: Corpus, console: Console) -> None:
    """Write ``race.json``: who raced, for how much, on what, and what simple methods reach on the same text."""
    first = entries[0]
    tokens = max(
        read_json(folder / f"{config.model.name}-s{config.seed}" / "results.json")["training"]["tokens"]
        for config in entries
    )
    before: dict[str, Any] = read_json(folder / "race.json") or {}
    measured: dict[str, Any] = {
        key: before[key] for key in ("yardsticks", "yardstick_tokens") if key in before
    }
    if not measured or before.get("longest_training") != tokens or first.fresh:
        console.print("measuring the yardsticks: bigram, 5-gram, xz")
        trainer = first.trainer
        training = stream_tokens(
            corpus,
            trainer.sequence_length,
            trainer.batch_size,
            texts_of(first.data).mixture,
            first.seed,
            tokens,
        )
        measured = yardsticks(corpus, first.evaluation, training)
    write_json(
        folder / "race.json",
        {
            "contenders": list(dict.fromkeys(config.model.name for config in entries)),
            "seeds": list(dict.fromkeys(config.seed for config in entries)),
            "budget_flops": budget,
            "longest_training": tokens,
            "corpus": corpus.manifest,
            **measured,
        },
    )


def present(folder: Path, console: Console) -> None:
    """Print the race's table and what it says; write table.md, table.csv and report.html."""
    race = read_race(folder)
    table = race_table(race)
    write_text(folder / "table.md", to_markdown(table))
    write_text(folder / "table.csv", to_csv(table))
    report = race_report(folder)
    console.print()
    console.print(to_console(table, console.width))
    for sentence in read_aloud(race):
        console.print(sentence)
    console.print(f"report: {report.resolve()}", soft_wrap=True)
