"""Run a suite comparison by comparison; each result is kept at once, so that a stopped suite goes on where it was."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Protocol

from lab.benchmark.case import Comparison
from lab.benchmark.config import BenchmarkConfig
from lab.benchmark.contenders import write_weights
from lab.benchmark.results import Result, Results, describe_machine, read_results, write_results
from lab.benchmark.rounds import time_cases
from lab.benchmark.suites import COMPARISONS
from lab.benchmark.tables import in_words
from lab.errors import ConfigError
from lab.files import REPOSITORY
from lab.report.formats import duration


class Progress(Protocol):
    """Who is told how far a suite is."""

    def now(self, said: str) -> None:
        """What is being done; the next such words replace these."""

    def done(self, said: str) -> None:
        """A result; it stays."""


def run_suite(config: BenchmarkConfig, progress: Progress) -> list[Result]:
    """Every comparison of a suite, in its order. Raises :class:`ConfigError` where ``only`` leaves none."""
    folder = Path(config.output)
    comparisons = COMPARISONS[config.suite](folder)
    chosen = [one for one in comparisons if not config.only or any(word in one.name for word in config.only)]
    if not chosen:
        names = ", ".join(comparison.name for comparison in comparisons[:4])
        raise ConfigError(
            f"only={config.only} leaves nothing of suite={config.suite}: a word must be part of a name ({names}, ...)."
        )
    threads = config.threads or os.cpu_count() or 1
    stored, code = read_results(folder, config.suite), code_digest()
    questions = {one.name: _asked(one, config.rounds, threads, code) for one in chosen}
    kept = {
        one.name
        for one in chosen
        if not config.fresh and one.name in stored and stored[one.name].asked == questions[one.name]
    }
    expected = {name: result.spent for name, result in stored.items()}
    for number, comparison in enumerate(chosen, 1):
        name = comparison.name
        title = f"{number} of {len(chosen)}: {name}"
        if name in kept:
            progress.done(f"{title}: {in_words(stored[name])}; as stored")
            continue
        started = time.monotonic()
        write_weights(comparison)
        timing = time_cases(comparison.specs(), config.rounds, threads, partial(_tell, progress, title))
        spent = round(time.monotonic() - started, 1)
        others = [spec.label for spec in comparison.others]
        stored[name] = Result(
            name, comparison.precision, others, questions[name], spent, describe_machine(threads), timing
        )
        write_results(folder, config.suite, in_order(comparisons, stored))
        expected[name] = spent
        to_come = [one.name for one in chosen[number:] if one.name not in kept]
        left = f"; about {duration(_left(to_come, expected))} to go" if to_come else ""
        progress.done(f"{title}: {in_words(stored[name])}; took {duration(spent)}{left}")
    return [stored[one.name] for one in chosen]


def _tell(progress: Progress, title: str, said: str) -> None:
    progress.now(f"{title}: {said}")


def in_order(comparisons: Sequence[Comparison], results: Results) -> dict[str, Result]:
    """``results`` in the order of a suite, without those that it has no more."""
    return {one.name: results[one.name] for one in comparisons if one.name in results}


def code_digest() -> str:
    """A hash of the code of ``lab``: what is stored was measured with some state of it."""
    content = hashlib.sha256()
    for path in sorted((REPOSITORY / "lab").rglob("*.*")):
        if path.suffix in (".py", ".cpp", ".h"):
            content.update(path.read_bytes())
    return content.hexdigest()[:16]


def _asked(comparison: Comparison, rounds: int, threads: int, code: str) -> str:
    question = [rounds, threads, code, [asdict(spec) for spec in comparison.specs()]]
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def _left(names: Iterable[str], spent: dict[str, float]) -> float:
    """Seconds that ``names`` will take: what each took before, else the mean of what others took."""
    mean = sum(spent.values()) / len(spent)
    return sum(spent.get(name, mean) for name in names)
