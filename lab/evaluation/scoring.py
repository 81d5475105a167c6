"""Scores of a task's items, from the log-likelihood of each choice after its context.

The choice with the highest score is the model's answer. A task's kind says which score, of choice ``c`` after
context ``x``:

* ``per_byte``: ``log p(c | x) / bytes(c)``, natural logarithm, bytes of UTF-8; ``acc_bytes`` of the LM Evaluation
  Harness;
* ``information``: ``log p(c | x) - log p(c)``, how much the context speaks for the choice, so that a choice that is
  common anyway gains nothing; ``acc_mutual_info`` of the harness.

Whether it was the highest is all that accuracy keeps. A *margin* keeps how much the model told apart: the score per
byte of the right choice less the mean of the wrong ones', nats per byte. A model that cannot tell right from wrong has
a margin of 0 on average however sure it is, as right and wrong are exchangeable to it; against the best wrong choice
it would lose by more, the surer it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lab.errors import ConfigError
from lab.evaluation.items import Probe
from lab.evaluation.likelihood import NOT_SCORED, LanguageModel, TextTokenizer, encode, evaluating
from lab.evaluation.probes import fewest_tokens
from lab.evaluation.statistics import wilson_interval
from lab.evaluation.tasks.task import Score

Progress = Callable[[int, int], None]
"""Called with how many texts are scored, and of how many."""


@dataclass(frozen=True)
class TaskScore:
    """How a model did on the N items of a task.

    ``correct [N]`` says item by item whether the right choice scored best, so that two models can be compared on
    the same items; ``margins [N]`` say by how many nats per byte it scored better than the wrong ones on average;
    ``groups [N]`` number the documents that items come from.
    ``truncated`` items had contexts longer than the window, of which the end was read. ``fewest_tokens`` is what the
    tokenizer alone gives away: the accuracy of always taking the text of fewest tokens.
    """

    task: str
    manifest: str
    chance: float
    correct: tuple[bool, ...]
    margins: tuple[float, ...]
    groups: tuple[int, ...]
    requested: int
    truncated: int
    fewest_tokens: float

    @property
    def accuracy(self) -> float:
        """Share of items answered rightly."""
        return sum(self.correct) / len(self.correct)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of :attr:`accuracy` (Wilson)."""
        return wilson_interval(sum(self.correct), len(self.correct))

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, derived figures included."""
        low, high = self.interval
        figures = {
            "accuracy": self.accuracy,
            "low": low,
            "high": high,
            "num_items": len(self.correct),
            "documents": len(set(self.groups)),
        }
        return figures | asdict(self)

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> "TaskScore":
        """The inverse of :meth:`as_dict`."""
        kept = {name: data[name] for name in cls.__dataclass_fields__}
        return cls(**kept | {name: tuple(kept[name]) for name in ("correct", "margins", "groups")})


def score_task(
    task: Probe,
    model: LanguageModel,
    tokenizer: TextTokenizer,
    window: int,
    batch_tokens: int,
    score: Score = "per_byte",
    progress: Progress | None = None,
) -> TaskScore:
    """Ask ``model`` every item of ``task``; rows of like length share a batch of ``batch_tokens`` places at most.

    Raises :class:`ConfigError` for a choice longer than ``window`` tokens and for likelihoods that are no numbers.
    """
    asked = [(item.context, choice) for item in task.items for choice in item.choices]
    alone = [("", choice) for _, choice in asked] if score == "information" else []
    nats, truncated = continuation_nats(model, tokenizer, asked + alone, window, batch_tokens, progress)
    require_finite(nats, task.name)
    sizes = np.array([len(choice.encode()) for _, choice in asked])
    scores = nats[len(asked) :] - nats[: len(asked)] if alone else -nats / sizes
    per_byte = scores / sizes if alone else scores
    correct, margins, start = [], [], 0
    shortened = 0
    for item in task.items:
        end, answer = start + len(item.choices), item.answer
        correct.append(int(scores[start:end].argmax()) == answer)
        wrong = np.delete(per_byte[start:end], answer)
        margins.append(float(per_byte[start + answer] - wrong.mean()))
        shortened += any(truncated[start:end])
        start = end
    numbers: dict[str, int] = {}
    groups = tuple(numbers.setdefault(item.document, len(numbers)) for item in task.items)
    return TaskScore(
        task.name,
        task.manifest,
        task.chance,
        tuple(correct),
        tuple(margins),
        groups,
        task.requested,
        shortened,
        fewest_tokens(task, tokenizer),
    )


def require_finite(nats: NDArray[np.float64], what: str) -> None:
    """Raise :class:`ConfigError` where a likelihood is NaN or infinite: such a model has no score."""
    broken = int((~np.isfinite(nats)).sum())
    if broken:
        raise ConfigError(
            f"checkpoint gives no finite likelihood for {broken} of {len(nats)} texts of {what}: "
            "its logits hold NaN or infinity."
        )


def continuation_nats(
    model: LanguageModel,
    tokenizer: TextTokenizer,
    asked: Sequence[tuple[str, str]],
    window: int,
    batch_tokens: int,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], list[bool]]:
    """Nats ``[N]`` of each continuation after its context, and whether the context's beginning was left out.

    Context and continuation are encoded together; what is scored begins at the first token that the context
    alone does not have, so that a token across the border counts to the continuation. A row has at most
    ``window`` tokens before its last: the last ones.
    """
    wholes = encode(tokenizer, [context + choice for context, choice in asked])
    contexts = encode(tokenizer, [context for context, _ in asked])
    rows: list[tuple[int, list[int], int]] = []
    for index, (whole, context) in enumerate(zip(wholes, contexts, strict=True)):
        shared = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(whole, context, strict=False)))
        scored = len(whole) - shared
        if scored < 1:
            raise ConfigError(f"The choice {asked[index][1]!r} has no token of its own: it must hold text.")
        if scored > window:
            raise ConfigError(
                f"A choice has {scored} tokens, and the window only {window}: "
                f"evaluation.window must be at least {scored}."
            )
        rows.append((index, whole[-window - 1 :], scored))
    truncated = [len(whole) > window + 1 for whole in wholes]
    nats = np.zeros(len(asked))
    rows.sort(key=lambda row: len(row[1]), reverse=True)
    device = next(model.parameters()).device
    done = 0
    with evaluating(model):
        while done < len(rows):
            length = len(rows[done][1]) - 1
            batch = rows[done : done + max(1, batch_tokens // length)]
            tokens = torch.zeros(len(batch), length, dtype=torch.long)
            targets = torch.full_like(tokens, NOT_SCORED)
            for place, (_, row, scored) in enumerate(batch):
                tokens[place, : len(row) - 1] = torch.tensor(row[:-1])
                targets[place, len(row) - 1 - scored : len(row) - 1] = torch.tensor(row[-scored:])
            losses = model.token_losses(tokens.to(device), targets.to(device))
            nats[[index for index, *_ in batch]] = losses.double().sum(1).cpu().numpy()
            done += len(batch)
            if progress is not None:
                progress(done, len(rows))
    return nats, truncated


def token_edges(length: int, window: int) -> list[tuple[int, int]]:
    """Ranges of positions ``(first, end)`` that tile ``window``: up to a quarter of ``length``, then doubling."""
    edges = [0, max(1, length // 4)]
    while edges[-1] < window:
        edges.append(min(2 * edges[-1], window))
    return list(pairwise(edges))
