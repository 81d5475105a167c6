"""A report as a W&B Report: the same headings, texts and tables, with live panels in place of the drawings.

Construction needs no network where the entity is given; saving needs the service and a key.
"""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lab.report.language import Language, Text, say, translated
from lab.report.specification import (
    Block,
    Bullets,
    Code,
    Continuations,
    Listing,
    Paragraph,
    Plot,
    Report,
    RunSet,
    Standings,
)
from lab.report.tables import to_markdown

if TYPE_CHECKING:
    import wandb_workspaces.reports.v2 as wr

LONGEST_TITLE = 128  # characters that W&B takes
SECONDS_TO_ANSWER = 8.0
_FILES = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR")


class LeftOut(Exception):
    """Why there is no W&B Report, in a sentence that begins in the middle: ``no key was found: ...``."""


def save(report: Report, language: Language) -> str:
    """Save ``report`` at W&B and return its address.

    Raises :class:`LeftOut` where the extra is missing, there is no key, the key is refused, the server can't be
    reached, or it doesn't take the report.
    """
    if find_spec("wandb_workspaces") is None:
        raise LeftOut("wandb-workspaces isn't installed: run python -m pip install -e '.[reports]'")
    assert report.run_set is not None
    with _own_files():
        import wandb

        from lab.trainer.wandb_key import has_key, service

        try:
            if not has_key():
                raise LeftOut("no key was found: set WANDB_API_KEY or run `wandb login`")
            _require_answer(service())
            api = wandb.Api()
        except wandb.errors.AuthenticationError as error:
            raise LeftOut(f"the key was refused ({_sentence(error)})") from None
        except wandb.errors.UsageError as error:
            raise LeftOut(_sentence(error)) from None
        try:
            entity = os.environ.get("WANDB_ENTITY") or api.default_entity
            present = report.run_set.project in {project.name for project in api.projects(entity)}
            built = build(report, language, str(entity), with_panels=present)
            return built.save().url
        except Exception as error:  # whatever the service answers, a report must not end in its traceback
            raise LeftOut(
                f"the service did not take it ({type(error).__name__}: {_sentence(error, api.api_key)})"
            ) from None


def build(report: Report, language: Language, entity: str, with_panels: bool = True) -> wr.Report:
    """``report`` as an object of ``wandb_workspaces``; without the panels where W&B has none of the runs."""
    import wandb_workspaces.reports.v2 as wr

    assert report.run_set is not None
    blocks: list[Any] = [wr.TableOfContents()]
    blocks += [wr.P(text) for text in ([report.claim] if report.claim else [])]
    for verdict in report.verdicts:
        blocks += [wr.BlockQuote(text) for text in verdict.within(language)]
    facts: list[Any] = [" / ".join(fact.name.within(language)) + f": {fact.value}" for fact in report.facts]
    blocks.append(wr.UnorderedList(facts))
    if not with_panels:
        missing = say("wandb_no_runs", project=report.run_set.project)
        blocks += [wr.P(text) for text in missing.within(language)]
    for section in report.sections:
        content = [
            part
            for block in section.blocks
            for part in _block(block, language, report.run_set, entity, with_panels)
        ]
        if content:
            blocks += [wr.H2(" · ".join(section.title.within(language))), *content]
    blocks += [wr.P(text) for text in report.closing.within(language)]
    return wr.Report(
        entity=entity,
        project=report.run_set.project,
        title=_cut(report.title),
        description=" · ".join(report.kind.within(language)),
        blocks=blocks,
    )


def _block(
    block: Block, language: Language, run_set: RunSet, entity: str, with_panels: bool
) -> Sequence[Any]:
    import wandb_workspaces.reports.v2 as wr

    match block:
        case Paragraph(text):
            return [wr.P(part) for part in text.within(language)]
        case Bullets(items):
            return [wr.UnorderedList([" / ".join(item.within(language)) for item in items])]
        case Standings(table):
            return [wr.MarkdownBlock(to_markdown(table))]
        case Listing(grid):
            return [wr.MarkdownBlock(_grid_markdown(grid.header, grid.rows, language))]
        case Code(text, title):
            named = [wr.H3(" · ".join(title.within(language)))] if title else []
            return [*named, wr.CodeBlock(code=text, language=None)]
        case Continuations(prompt, texts):
            return [
                wr.P(prompt),
                wr.UnorderedList([f"{series}: {text}" for series, text in texts.items()]),
            ]
        case Plot():
            return [_panels(block, language, run_set, entity)] if block.metrics and with_panels else []


def _panels(plot: Plot, language: Language, run_set: RunSet, entity: str) -> wr.PanelGrid:
    """The logged metrics of the run set, a line a variant: the mean over its seeds and their range."""
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    runs = wr.Runset(
        entity=entity,
        project=run_set.project,
        name=" · ".join(say("wandb_runs").within(language)),
        filters=expr.And(
            expr.Metric("Group").isin(list(run_set.groups)), expr.Metric("JobType") == run_set.job_type
        ),
        groupby=["config.variant"],
    )
    return wr.PanelGrid(
        runsets=[runs],
        panels=[
            wr.LinePlot(
                title=f"{' · '.join(plot.title.within(language))}: {metric}",
                x=plot.axis,
                y=[metric],
                groupby_aggfunc="mean",
                groupby_rangefunc="minmax",
                layout=wr.Layout(w=24, h=10),
            )
            for metric in plot.metrics
        ],
    )


def _grid_markdown(
    header: Sequence[str | Text], rows: Sequence[Sequence[str | Text]], language: Language
) -> str:
    def cell(content: str | Text) -> str:
        text = translated(content) if isinstance(content, str) else content
        return " / ".join(text.within(language)).replace("|", "\\|").replace("\n", " ")

    width = max(map(len, rows), default=len(header))
    heads = [*header, *[""] * (width - len(header))]
    lines: list[Sequence[str | Text]] = [heads, ["---"] * width, *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines) + "\n"


@contextmanager
def _own_files() -> Iterator[None]:
    """Keep what W&B writes and says on the way out of sight, and take it away afterwards."""
    kept = {name: os.environ.get(name) for name in (*_FILES, "WANDB_SILENT")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(dict.fromkeys(_FILES, folder))
        os.environ["WANDB_SILENT"] = "true"
        try:
            yield
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _require_answer(address: str) -> None:
    """Raise :class:`LeftOut` where nothing answers at ``address``; any HTTP status is an answer."""
    try:
        urllib.request.urlopen(address, timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError:
        return
    except OSError as error:
        cause = getattr(error, "reason", error)
        raise LeftOut(f"{address} can't be reached ({cause})") from None


def _sentence(error: BaseException, secret: str | None = None) -> str:
    """The first line of an error's message, without a full stop and without ``secret``."""
    line = next(iter(str(error).splitlines()), "").strip().rstrip(".")
    return line.replace(secret, "***") if secret else line


def _cut(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"
