"""What may stand in one table: runs that differ in their variant, and in nothing that the figures depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lab.errors import ConfigError
from lab.report import formats
from lab.report.fairness import EQUAL_FLOPS
from lab.report.runs import Run
from lab.report.sweep_jobs import COMPARE, Job, Sweep

BUDGETS = ("budget_flops", "budget_tokens", "steps")  # of the trainer: exactly one of them ends a run
MEASURED_ALONE = ("batch_size", "decoding")  # of the evaluation: they change no figure but speed


def conditions(run: Run) -> dict[str, Any]:
    """What a finished run's figures hang on beside its model and training, by name; None where it isn't recorded."""
    tokenizer, data = run.config.get("tokenizer"), run.config.get("data")
    evaluation = run.results.get("evaluation")
    if evaluation is not None:
        evaluation = {key: value for key, value in evaluation.items() if key not in MEASURED_ALONE}
        trained_at = run.config.get("trainer", {}).get("sequence_length")
        evaluation["sequence_length"] = evaluation.get("sequence_length") or trained_at
    corpus = None if data is None else {key: value for key, value in data.items() if key != "mixture"}
    return {
        "tokenizer": tokenizer,
        "corpus": corpus,
        "evaluation": evaluation,
        "held-out set": _held_out(run.results.get("held_out")),
    }


def shared_conditions(jobs: Sequence[Job]) -> dict[str, Any]:
    """The conditions of all finished runs; raises ConfigError, naming both values and both runs, where two differ."""
    shared: dict[str, tuple[str, Any]] = {}
    for job in jobs:
        if job.run is None or not job.finished:
            continue
        for name, value in conditions(job.run).items():
            if value is None:
                continue
            first, expected = shared.setdefault(name, (job.name, value))
            if value != expected:
                ours, theirs = _apart(expected, value)
                raise ConfigError(
                    f"{name} differs between runs that would stand in one table: {ours} in {first}, {theirs} in "
                    f"{job.name}; only runs with the same {name} can be compared."
                )
    return {name: value for name, (_, value) in shared.items()}


def notes(sweep: Sweep) -> list[str]:
    """What a reader must know of unequal training and code; raises ConfigError where runs can't be compared at all."""
    shared_conditions(sweep.jobs)
    finished = [job for job in sweep.jobs if job.finished and job.phase == COMPARE]
    return [*_budgets(sweep, finished), *_revisions(finished), *_choices(sweep)]


def _budgets(sweep: Sweep, jobs: Sequence[Job]) -> list[str]:
    """Configured budgets must agree unless a variant sets its own; what was spent may miss them by whole steps."""
    budgets = {job: _budget(job.run) for job in jobs if job.run and _budget(job.run)}
    if not budgets:
        return []
    first = next(iter(budgets))
    for job, budget in budgets.items():
        if budget != budgets[first] and not _sets_budget(sweep, job) and not _sets_budget(sweep, first):
            raise ConfigError(
                f"training budgets differ between runs that would stand in one table: {budgets[first]} in "
                f"{first.name}, {budget} in {job.name}; only variants that name their budget may differ in it."
            )
    if len(set(budgets.values())) > 1:
        return ["Variants name budgets of their own: they are not compared at equal training."]
    return _missed_flops(sweep, list(budgets))


def _missed_flops(sweep: Sweep, jobs: Sequence[Job]) -> list[str]:
    """A note on the variants that spent more than 2 % more or less FLOPs than they were to spend."""
    missed: dict[str, float] = {}
    budget = None
    for job in jobs:
        assert job.run is not None
        budget, spent = job.run.config["trainer"].get("budget_flops"), job.figures.get("training.flops")
        if budget is not None and spent is not None:
            missed[job.variant] = max(missed.get(job.variant, 0.0), spent / float(budget) - 1, key=abs)
    off = {variant: share for variant, share in missed.items() if abs(share) > EQUAL_FLOPS}
    if budget is None or not off:
        return []
    named = ", ".join(
        f"{variant} {100 * abs(share):.1f}% {'more' if share > 0 else 'less'}"
        for variant, share in off.items()
    )
    return [
        f"Not at the budget of {formats.flops(float(budget))} training FLOPs, with runs of whole steps: {named}."
    ]


def _budget(run: Run) -> str:
    trainer = run.config.get("trainer", {})
    return ", ".join(f"trainer.{key}={trainer[key]:g}" for key in BUDGETS if trainer.get(key) is not None)


def _sets_budget(sweep: Sweep, job: Job) -> bool:
    return any(
        override.lstrip("+~").startswith(f"trainer.{key}")
        for override in sweep.variants[job.variant]
        for key in BUDGETS
    )


def _revisions(jobs: Sequence[Job]) -> list[str]:
    found: dict[str, list[str]] = {}
    for job in jobs:
        git = job.run.environment.get("git") if job.run else None
        if isinstance(git, Mapping) and git.get("revision"):
            changed = " with changes of its own" if git.get("dirty") else ""
            found.setdefault(f"{str(git['revision'])[:10]}{changed}", []).append(job.name)
    if len(found) < 2:
        return []
    named = "; ".join(f"{revision} ({len(names)}, first {names[0]})" for revision, names in found.items())
    return [f"The compared runs are of {len(found)} code revisions: {named}."]


def _choices(sweep: Sweep) -> list[str]:
    """Where the search's choice stands at the end of its options, or isn't what its runs say."""
    found, options = [], list(sweep.options)
    for variant, option in sweep.chosen.items():
        best = sweep.best_option(variant)
        if best is not None and best != option:
            found.append(f"{variant} was compared with option {option}, but its search is best with {best}.")
        if len(options) > 2 and option in (options[0], options[-1]):
            place = "first" if option == options[0] else "last"
            found.append(
                f"{variant} chose {option}, the {place} of {', '.join(options)}: a better one may lie beyond."
            )
    return found


def _held_out(held_out: Any) -> dict[str, str] | None:
    """Each language's documents and their lengths, as a digest."""
    if not isinstance(held_out, Mapping):
        return None
    return {
        language: f"{len(texts.get('documents', []))} documents {_digest([texts.get('documents'), texts.get('bytes')])}"
        for language, texts in held_out.items()
    }


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _apart(first: Any, second: Any) -> tuple[str, str]:
    """The parts in which two mappings differ, as text."""
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        return str(first), str(second)
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    parts = [", ".join(f"{key}={side.get(key)}" for key in keys) for side in (first, second)]
    return parts[0], parts[1]
