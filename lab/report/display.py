"""What a notebook shows for a configuration, a size, a model, a run, and for whatever has a table.

:mod:`lab.report.ipython` has IPython ask for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lab.errors import ConfigError
from lab.report import formats
from lab.report.contenders import identities
from lab.report.runs import Run
from lab.report.sweep_jobs import Sweep
from lab.report.sweep_table import entry_table, require_results, sweep_table
from lab.report.sweep_verdicts import verdicts
from lab.report.tables import Table
from lab.report.views import (
    bar,
    columns,
    curve_html,
    digest_of,
    escape,
    folded,
    grid,
    note,
    settings_html,
    table_html,
    title,
    view,
)

if TYPE_CHECKING:
    from lab.model.config import ModelConfig
    from lab.model.decoder import Decoder
    from lab.model.size import Size

Figure = tuple[str, float, Callable[[float], str]]
"""A name, a value, and how the value is written."""

LANGUAGES = {"ko": "Korean", "en": "English", "code": "code"}


def config_html(config: Any) -> str:
    """A typed configuration: a table a group, folded, the model's mechanisms in sight."""
    settings = dataclasses.asdict(config)
    model = settings.pop("model")
    single = {key: value for key, value in settings.items() if not isinstance(value, Mapping)}
    groups = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    return view(
        title(contender_title(model["name"]), _shape(config.model)),
        folded("model", mechanisms(config.model), settings_html(model), is_open=True),
        *(folded(key, digest_of(group), settings_html(group)) for key, group in groups.items()),
        folded("run", digest_of(single), settings_html(single)),
    )


def size_html(size: Size, name: str = "") -> str:
    """A size record: parameters by part with their shares, and what a token costs."""
    return view(title(name or "Size", _counts(size)), columns(parts_grid(size), costs_grid(size)))


def model_html(model: Decoder) -> str:
    """A model: where it lies, what its layers are, and the size of its parts."""
    from lab.model.size import size

    record = size(model.config, model.config.max_positions)
    first = next(model.parameters())
    place = f"{str(first.dtype).removeprefix('torch.')} on {first.device}"
    return view(
        title(contender_title(model.config.name), f"{_counts(record)}, {place}"),
        note(f"{_shape(model.config)}; {mechanisms(model.config)}"),
        columns(parts_grid(record), costs_grid(record)),
    )


def run_html(run: Run) -> str:
    """A run: how it stands, its headline figures, its learning curve; settings and folder at the end."""
    failed = run.state == "failed"
    settings = [folded("settings", "", settings_html(run.config))] if run.config else []
    error = run.status.get("error")
    return view(
        title(contender_title(run.contender), state_sentence(run), bad=failed),
        note(str(error), bad=failed) if error else "",
        columns(grid(headline(run), numbers=[1]), run_curve(run)),
        *settings,
        *(note(problem) for problem in run.problems if run.state == "done"),
        note(str(run.folder)),
    )


def sweep_html(sweep: Sweep) -> str:
    """A sweep: its question, how far it is, its table and what may be said; what there is to know of them folded."""
    parts = [
        title(sweep.name, jobs_sentence(sweep)),
        f"<div>{escape(sweep.question)}</div>" if sweep.question else "",
        note(f"Claim: {sweep.claim}") if sweep.claim else "",
    ]
    try:
        require_results(sweep)
    except ConfigError as error:
        return view(*parts, note(str(error)))
    table = sweep_table(sweep)
    parts.append(table_html(Table(table.columns, table.rows)))
    parts += [note(verdict) for verdict in verdicts(sweep)]
    parts += [folded(key, "by entry", table_html(entry_table(sweep, key))) for key in sweep.mappings]
    parts.append(folded("notes", str(len(table.notes)), "".join(map(note, table.notes))))
    return view(*parts, note(str(sweep.folder)))


def jobs_sentence(sweep: Sweep) -> str:
    """``12 jobs: 10 done, 1 failed, 1 waiting``."""
    states = [job.state for job in sweep.jobs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(states)} jobs: {counts}"


def state_sentence(run: Run) -> str:
    """``seed 0, done, 300 of 300 steps``."""
    seed = [] if run.seed is None else [f"seed {run.seed}"]
    step, steps = run.status.get("step"), run.status.get("steps")
    return ", ".join([*seed, run.state, *([] if steps is None else [f"{step:,} of {steps:,} steps"])])


def headline(run: Run) -> list[tuple[str, str]]:
    """The figures of a run that a reader looks for first, as pairs of a name and a text."""
    results, metrics = run.results, run.metrics
    rows = [
        (f"bits per byte, {LANGUAGES.get(language, language)}", formats.decimal(bits))
        for language, bits in results.get("bits_per_byte", {}).items()
    ]
    for name, probe in results.get("probes", {}).items():
        rows.append((name.replace("_", " "), formats.percent(probe.get("accuracy"))))
    last = metrics.iloc[-1] if len(metrics) else {}
    if "train/loss" in last:
        rows.append(("training loss", formats.decimal(last["train/loss"])))
    for name, key, write in (
        ("training tokens", "tokens", formats.count),
        ("training FLOPs", "flops", formats.flops),
        ("training time", "seconds", formats.duration),
    ):
        if key in last:
            rows.append((name, write(last[key])))
    size = results.get("size", {})
    if size:
        rows.append(("parameters", formats.count(size.get("parameters_total"))))
        rows.append(("active", formats.count(size.get("parameters_active"))))
    return rows


def run_curve(run: Run, end: float | None = None) -> str:
    """Training loss against tokens, as inline SVG; ``end`` tokens are where the run will end."""
    metrics = run.metrics
    if not {"tokens", "train/loss"} <= set(metrics.columns):
        return ""
    return curve_html(
        metrics["tokens"].tolist(), metrics["train/loss"].tolist(), "tokens", "loss, nats per token", end
    )


def parts_grid(size: Size) -> str:
    """Parameters by part, each with its share."""
    total = size.parameters_total
    rows = [
        (part, write(count), formats.percent(count / total), bar(count / total))
        for part, count, write in part_rows(size)
        if count
    ]
    rows.append(("parameters", f"{total:,}", "", ""))
    heads = ("part", "parameters", "share", "")
    return grid(rows, heads, numbers=(1, 2), sums=[len(rows) - 1], markup=[3])


def costs_grid(size: Size) -> str:
    """What a token costs: :func:`cost_rows` as they are written."""
    return grid([(name, write(value)) for name, value, write in cost_rows(size)], numbers=[1])


def part_rows(size: Size) -> list[Figure]:
    """Parameters by part."""
    return [(part.replace("_", " "), count, "{:,.0f}".format) for part, count in size.parts.items()]


def cost_rows(size: Size) -> list[Figure]:
    """The figures of a size beside its parts."""
    return [
        ("parameters, total", size.parameters_total, "{:,.0f}".format),
        ("parameters, active", size.parameters_active, "{:,.0f}".format),
        ("weights in bfloat16", size.weight_bytes, formats.size_in_bytes),
        (f"forward FLOPs per token, {size.sequence:,} tokens", size.flops_per_token_forward, formats.flops),
        ("training FLOPs per token", size.flops_per_token_training, formats.flops),
        ("cache per token", size.cache_bytes_per_token, formats.size_in_bytes),
        ("cache, fixed", size.cache_bytes_fixed, formats.size_in_bytes),
    ]


def contender_title(name: str) -> str:
    """What a contender is called."""
    return identities([name])[name].title


def mechanisms(model: ModelConfig) -> str:
    """The kinds of a model's leaves, those left out left out."""
    leaves = [getattr(model, field.name) for field in dataclasses.fields(model)]
    return ", ".join(leaf.kind for leaf in leaves if getattr(leaf, "kind", "none") != "none")


def _shape(model: ModelConfig) -> str:
    letters = model.layers.letters()
    stack = letters if len(set(letters)) > 1 and len(letters) <= 16 else ""
    return f"{len(letters)} layers{f' {stack}' if stack else ''}, width {model.width:,}"


def _counts(size: Size) -> str:
    total, active = formats.count(size.parameters_total), formats.count(size.parameters_active)
    return f"{total} parameters" if total == active else f"{total} parameters, {active} active"
