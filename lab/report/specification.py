"""A report before it is rendered: what it says and shows, in order, whatever it will be shown in.

:mod:`lab.report.sweep_page` fills one in from a sweep or a folder of runs; :mod:`lab.report.page_writer` makes a page
of it, and :mod:`lab.report.wandb_report` a W&B Report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.report.contenders import Identity
from lab.report.grids import Grid
from lab.report.language import Text
from lab.report.tables import Table


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """Sentences of equal weight."""

    items: Sequence[Text]


@dataclass(frozen=True)
class Standings:
    """A table whose rows wear the colours of the series, and whose columns can be sorted.

    ``download`` is the name of the CSV file that the page offers, of ``whole`` where ``table`` shows a part of it.
    """

    table: Table
    download: str = ""
    whole: Table | None = None


@dataclass(frozen=True)
class Listing:
    """A plain table."""

    grid: Grid


@dataclass(frozen=True)
class Plot:
    """A drawing (``{"wide": svg, "narrow": svg}``), and the metrics of the tracker that show the same.

    ``metrics`` are drawn against ``axis``; a plot that no logged metric can show has none.
    """

    drawings: Mapping[str, str]
    title: Text
    metrics: Sequence[str] = ()
    axis: str = "tokens"


@dataclass(frozen=True)
class Code:
    """Text of a machine; folded away under ``title`` where it has one."""

    text: str
    title: Text | None = None


@dataclass(frozen=True)
class Continuations:
    """What models wrote after a prompt, by the key of the series."""

    prompt: str
    texts: Mapping[str, str]


Block = Paragraph | Bullets | Standings | Listing | Plot | Code | Continuations


@dataclass(frozen=True)
class Section:
    """A heading and what stands beneath it; ``key`` is its anchor."""

    key: str
    title: Text
    blocks: Sequence[Block]


@dataclass(frozen=True)
class RunSet:
    """The runs of the report where a tracker has them: a project's runs of these groups and job type."""

    project: str
    groups: Sequence[str]
    job_type: str = "train"


@dataclass(frozen=True)
class Fact:
    """One figure of the header."""

    name: Text
    value: str


@dataclass(frozen=True)
class Report:
    """A whole report; ``verdicts`` are its findings, the first of them the one to remember."""

    kind: Text
    title: str
    claim: str
    facts: Sequence[Fact]
    verdicts: Sequence[Text]
    sections: Sequence[Section]
    identities: Sequence[Identity]
    run_set: RunSet | None
    closing: Text
