"""A suite: bits per byte by position and every task, each part written when it is done and not done twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lab.data.document import Document
from lab.data.storage import key_of
from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.evaluation.intrinsic import bits_by_position, maths_documents
from lab.evaluation.items import Probe
from lab.evaluation.likelihood import draw_documents
from lab.evaluation.scoring import Progress, TaskScore, score_task
from lab.evaluation.statistics import bootstrap_difference, clustered_t_test, mcnemar_exact
from lab.evaluation.subject import Subject
from lab.evaluation.tasks.catalogue import TASKS, select_tasks
from lab.evaluation.tasks.task import HeldOutText, make_task
from lab.files import read_json, write_json
from lab.independence.statistics import holm

FORMAT = 2
"""Raised whenever equal questions would get other scores, so that old parts are not reused."""

MATHS_BYTES = 40_960

LEVEL = 0.05
"""How often two models that know equally much may be told apart, in any of the tasks that they are compared on."""

Watch = Callable[[str], Progress]
"""From the name of a part to what is told of its progress."""


@dataclass(frozen=True)
class Suite:
    """The questions, equal for every model: documents by kind, tasks by name, and tasks that the text can't give."""

    documents: Mapping[str, Sequence[Document]]
    tasks: Mapping[str, Probe]
    missing: tuple[str, ...]

    @property
    def manifests(self) -> dict[str, str]:
        """SHA-256 of the items of each task."""
        return {name: task.manifest for name, task in self.tasks.items()}


def make_suite(text: HeldOutText, config: SuiteConfig) -> Suite:
    """The questions that ``config`` wants from the held-out part of ``text``."""
    documents: dict[str, Sequence[Document]] = {}
    if config.intrinsic:
        for language in text.languages:
            documents[language] = draw_documents(text.held_out(language), config.max_bytes, config.seed)
        documents["maths"] = maths_documents(min(config.max_bytes or MATHS_BYTES, MATHS_BYTES), config.seed)
    kinds = select_tasks(config.tasks) if config.num_items else []
    made = {kind.name: make_task(kind, text, config.num_items, config.seed) for kind in kinds}
    tasks = {name: task for name, task in made.items() if task is not None}
    missing = tuple(name for name, task in made.items() if task is None)
    if not tasks and not documents:
        raise ConfigError(
            f"evaluation.tasks={list(missing)} cannot be made: the held-out text has no item for any of them."
        )
    return Suite(documents, tasks, missing)


def run_suite(
    suite: Suite, subject: Subject, config: SuiteConfig, folder: Path, watch: Watch
) -> dict[str, Any]:
    """The figures of ``subject``, as plain data; parts that lie in ``folder`` with the same questions are read.

    Returns ``bits_per_byte`` by kind of text, see :meth:`lab.evaluation.intrinsic.PositionBits.as_dict`, and
    ``tasks`` by name, see :class:`lab.evaluation.scoring.TaskScore`.
    """
    length = config.sequence_length or subject.trained_length
    if length > subject.max_positions:
        raise ConfigError(
            f"evaluation.sequence_length={length} cannot be used: it must be at most the model's "
            f"{subject.max_positions} positions."
        )
    long = min(config.long_context * length, subject.max_positions)
    window = min(config.window or subject.max_positions, subject.max_positions)
    batch_tokens = config.batch_size * length
    folder.mkdir(parents=True, exist_ok=True)

    def measure_kind(kind: str) -> dict[str, Any]:
        found = bits_by_position(
            suite.documents[kind], subject.tokenizer, subject.model, length, long, batch_tokens, watch(kind)
        )
        return found.as_dict(config.seed)

    def ask(name: str) -> dict[str, Any]:
        return score_task(
            suite.tasks[name],
            subject.model,
            subject.tokenizer,
            window,
            batch_tokens,
            TASKS[name].score,
            watch(name),
        ).as_dict()

    texts = {kind: [one.text for one in documents] for kind, documents in suite.documents.items()}
    return {
        "bits_per_byte": {
            kind: _part(
                folder / f"bits-{kind}.json",
                [FORMAT, subject.digest, texts[kind], length, long, config.seed],
                partial(measure_kind, kind),
            )
            for kind in suite.documents
        },
        "tasks": {
            name: _part(
                folder / f"task-{name}.json",
                [FORMAT, subject.digest, task.manifest, TASKS[name].score, window],
                partial(ask, name),
            )
            for name, task in suite.tasks.items()
        },
    }


def _part(path: Path, identity: object, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the file at ``path`` says where it answers the same question, else what ``make`` finds, then written."""
    key = key_of(identity)
    try:
        before = read_json(path)
    except ValueError:
        before = None  # a damaged file is as good as none
    if isinstance(before, dict) and before.get("key") == key:
        return before["figures"]
    figures = make()
    write_json(path, {"key": key, "figures": figures})
    return figures


def compare_tasks(first: Mapping[str, Any], second: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """For each task of two :func:`run_suite` results with the same items: how much better ``first`` is.

    ``difference`` of accuracies with its 95 % interval ``low``, ``high`` (paired bootstrap over items) and ``p_value``
    (exact McNemar). ``margin`` is the difference of margins, nats per byte, with ``mean``, 95 % interval and
    ``p_value`` (paired t-test clustered by document), and ``p_holm`` corrected for all tasks compared. The models
    are told apart where that is below :data:`LEVEL`: ``separates`` where ``first`` is the better one, ``trails``
    where it is the worse. Raises :class:`ConfigError` where items differ.
    """
    compared: dict[str, Any] = {}
    for name in first:
        if name not in second:
            continue
        one, other = TaskScore.of_dict(first[name]), TaskScore.of_dict(second[name])
        if one.manifest != other.manifest:
            raise ConfigError(f"{name} cannot be compared: the two models were asked different items.")
        ours, theirs = np.array(one.correct), np.array(other.correct)
        low, high = bootstrap_difference(ours.astype(float), theirs.astype(float), seed)
        margin = clustered_t_test(np.array(one.margins) - np.array(other.margins), np.array(one.groups))
        compared[name] = {
            "difference": one.accuracy - other.accuracy,
            "low": low,
            "high": high,
            "p_value": mcnemar_exact(ours, theirs),
            "margin": asdict(margin),
        }
    corrected = holm({name: found["margin"]["p_value"] for name, found in compared.items()})
    for name, found in compared.items():
        margin, told = found["margin"], corrected[name] < LEVEL
        margin["p_holm"] = corrected[name]
        found |= {"separates": told and margin["mean"] > 0, "trails": told and margin["mean"] < 0}
    return compared
