"""Associative recall: the share of right answers in rows of the task that the model was never trained on."""

from typing import Any

import torch

from lab.data.recall import RecallTask
from lab.evaluation.config import EvaluationConfig
from lab.evaluation.likelihood import evaluating
from lab.model.decoder import Decoder

ROWS = 128
"""Rows that are asked for each number of pairs."""


def recall(model: Decoder, task: RecallTask, config: EvaluationConfig, trained_length: int) -> dict[str, Any]:
    """How often the likeliest of all tokens is the value asked for, by number of pairs in a row.

    Returns ``accuracy`` and ``chance`` (a guess among the row's values) by number of pairs, ``mean`` accuracy over
    these numbers, and how many ``answers`` were asked for at each. Rows have ``trained_length`` tokens; ``config.seed``
    draws them, so that every run is asked the same.
    """
    accuracy: dict[str, float] = {}
    answers: dict[str, int] = {}
    for num_pairs in task.num_pairs:
        right, asked = _count(model, task, num_pairs, config, trained_length)
        accuracy[str(num_pairs)], answers[str(num_pairs)] = right / asked, asked
    return {
        "accuracy": accuracy,
        "mean": sum(accuracy.values()) / len(accuracy),
        "chance": {str(num_pairs): 1 / num_pairs for num_pairs in task.num_pairs},
        "answers": answers,
    }


@torch.no_grad()
def _count(
    model: Decoder, task: RecallTask, num_pairs: int, config: EvaluationConfig, length: int
) -> tuple[int, int]:
    """Right answers and all of them."""
    device = next(model.parameters()).device
    rows = task.held_out(num_pairs, length, ROWS, config.seed)
    right = asked = 0
    with evaluating(model):
        for tokens, targets in zip(
            rows.tokens.split(config.batch_size), rows.targets.split(config.batch_size), strict=True
        ):
            is_answer = targets >= 0
            guesses = model.logits(tokens.to(device)).argmax(-1).cpu()
            right += int((guesses == targets)[is_answer].sum())
            asked += int(is_answer.sum())
    return right, asked
