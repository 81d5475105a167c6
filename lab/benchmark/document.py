"""``lab/benchmark/README.md``: a marked block a suite, made of the results that lie beside it."""

from collections.abc import Mapping
from pathlib import Path

from lab.benchmark.config import TARGETS
from lab.benchmark.plots import draw_growth
from lab.benchmark.results import COMMITTED, Results, read_results, write_results
from lab.benchmark.run import in_order
from lab.benchmark.suites import COMPARISONS
from lab.benchmark.tables import comparison_table
from lab.benchmark.targets import targets_table
from lab.files import write_text
from lab.report.tables import to_markdown

README = Path(__file__).parent / "README.md"
FIGURE = README.with_name("growth.svg")


def results_in(folder: Path) -> dict[str, Results]:
    """What ``folder`` holds of every suite, in the suite's order."""
    return {
        suite: in_order(comparisons(folder), read_results(folder, suite))
        for suite, comparisons in COMPARISONS.items()
    }


def write_document(folder: Path, suites: list[str]) -> Path:
    """Take the results of ``suites`` over from ``folder`` and renew tables and figure; returns the file."""
    measured = results_in(folder)
    for suite in suites:
        write_results(COMMITTED, suite, measured[suite])
    committed = results_in(COMMITTED)
    write_text(README, with_tables(README.read_text(encoding="utf-8"), committed))
    draw_growth(FIGURE, committed["growth"])
    return README


def with_tables(text: str, results: Mapping[str, Results]) -> str:
    """The document with the tables that ``results`` make between their marks."""
    tables = {TARGETS: to_markdown(targets_table(results))}
    for suite, measured in results.items():
        machines = sorted({result.machine for result in measured.values()})
        lines = "".join(f"Measured on {machine}.\n\n" for machine in machines)
        table = to_markdown(comparison_table(list(measured.values()))) if measured else "Not measured.\n"
        tables[suite] = f"{lines}{table}"
    for suite, table in tables.items():
        begin, end = f"<!-- {suite} -->", f"<!-- /{suite} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = f"{before}{begin}\n\n{table}\n{end}{after}"
    return text
