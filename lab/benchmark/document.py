"""The tables of ``lab/benchmark/README.md``: a marked block a suite, renewed as a whole."""

from collections.abc import Sequence
from pathlib import Path

from lab.benchmark.run import Result
from lab.benchmark.tables import comparison_table
from lab.files import write_text
from lab.report.tables import to_markdown

README = Path(__file__).parent / "README.md"


def write_document(suite: str, results: Sequence[Result]) -> Path:
    """Put the table of ``suite`` between its marks; returns the file."""
    text = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {suite} -->", f"<!-- /{suite} -->"
    before, rest = text.split(begin)
    _, after = rest.split(end)
    table = to_markdown(comparison_table(results, suite))
    write_text(README, f"{before}{begin}\n\n{table}\n{end}{after}")
    return README
