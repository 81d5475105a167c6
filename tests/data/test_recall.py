"""Associative recall: rows that can be answered from themselves alone, drawn alike, resumed bit for bit."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.config import compose
from lab.data.config import RecallData
from lab.data.corpus import corpus_directory, prepare
from lab.data.loader import IGNORED, Batch
from lab.data.recall import RecallLoader, RecallTask
from lab.data.training import open_loader, prepare_training_data
from lab.errors import ConfigError
from lab.evaluation.config import DecodingConfig, EvaluationConfig
from lab.evaluation.judge import build_probes, judge
from lab.evaluation.measures.recall import ROWS
from lab.job import headline, run
from lab.trainer.tracker import RunIdentity

TASK = RecallTask(num_pairs=(1, 3), num_keys=5)
LENGTH = 9
TINY = [
    "data=recall",
    "data.num_pairs=[1,2]",
    "data.num_keys=4",
    "evaluation.measures=[recall]",
    "evaluation.decoding.new_tokens=2",
    "model=llama",
    *("scale.layers=1", "scale.width=16", "scale.heads=1", "scale.kv_heads=1", "scale.dense_width=16"),
    *("scale.vocab_size=260", "trainer.sequence_length=8", "trainer.batch_size=4"),
    *("trainer.budget_flops=null", "trainer.steps=3", "tracker=disabled", "device=cpu"),
]


def answers_by_reading(tokens: list[int], num_pairs: int) -> list[int]:
    """Targets of one row, by looking up."""
    pairs = dict(zip(tokens[: 2 * num_pairs : 2], tokens[1 : 2 * num_pairs : 2], strict=True))
    assert len(pairs) == len(set(pairs.values())) == num_pairs, "every key and every value once"
    return [IGNORED] * (2 * num_pairs) + [pairs[token] for token in tokens[2 * num_pairs :]]


@pytest.mark.parametrize("num_pairs", [1, 3, 4])
def test_a_row_can_be_answered_from_itself(num_pairs: int) -> None:
    batch = TASK.held_out(num_pairs, LENGTH, rows=20, seed=0)
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        assert targets == answers_by_reading(tokens, num_pairs)
        assert all(token < 5 for token in tokens[: 2 * num_pairs : 2] + tokens[2 * num_pairs :])
        assert all(5 <= token < 10 for token in tokens[1 : 2 * num_pairs : 2])


def test_training_rows_have_every_number_of_pairs_and_one_document() -> None:
    batch = next(RecallLoader(TASK, LENGTH, batch_size=40, seed=0))
    pairs = ((batch.targets == IGNORED).sum(1) // 2).tolist()
    assert set(pairs) == {1, 3}
    for tokens, targets, number in zip(batch.tokens.tolist(), batch.targets.tolist(), pairs, strict=True):
        assert targets == answers_by_reading(tokens, number)
    assert not batch.documents.any()
    assert batch.positions.tolist() == [list(range(LENGTH))] * 40


def test_keys_and_values_are_all_used_alike() -> None:
    batch = TASK.held_out(1, LENGTH, rows=4000, seed=0)
    for column, first in ((0, 0), (1, 5)):
        counts = torch.bincount(batch.tokens[:, column] - first, minlength=5)
        assert counts.min() > 700
        assert counts.max() < 900


def rows_of(batches: list[Batch]) -> set[tuple[int, ...]]:
    return {tuple(row) for batch in batches for row in batch.tokens.tolist()}


def test_held_out_rows_are_not_trained_on_and_seeds_differ() -> None:
    task = RecallTask((8,), 64)  # about 10^27 rows: two alike would be no accident
    trained = rows_of(list(itertools.islice(RecallLoader(task, 32, 16, seed=0), 50)))
    assert len(trained) == 800
    assert not trained & rows_of(list(itertools.islice(RecallLoader(task, 32, 16, seed=1), 50)))
    assert not trained & rows_of([task.held_out(8, 32, 400, seed) for seed in (0, 1)])
    assert torch.equal(task.held_out(8, 32, 4, 0).tokens, task.held_out(8, 32, 4, 0).tokens)


def test_a_loader_goes_on_where_it_was() -> None:
    loader = RecallLoader(TASK, LENGTH, 4, seed=3)
    for _ in range(5):
        next(loader)
    state = json.loads(json.dumps(loader.state()))
    expected = [next(loader) for _ in range(3)]
    other = RecallLoader(TASK, LENGTH, 4, seed=3)
    other.restore(state)
    for one, two in zip(expected, other, strict=False):
        assert torch.equal(one.tokens, two.tokens)
        assert torch.equal(one.targets, two.targets)


class Oracle(torch.nn.Module):
    """Looks the answer up, for keys below ``knows``; names its row's last value otherwise."""

    def __init__(self, knows: int) -> None:
        super().__init__()
        self.knows = knows
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(*tokens.shape, 10)
        for row, line in enumerate(tokens.tolist()):
            number = sum(token >= 5 for token in line)
            pairs = dict(zip(line[: 2 * number : 2], line[1 : 2 * number : 2], strict=True))
            for column, token in enumerate(line):
                known = token < self.knows and token in pairs
                logits[row, column, pairs[token] if known else line[2 * number - 1]] = 1
        return logits


@pytest.mark.parametrize(("knows", "low", "high"), [(5, 1, 1), (0, 0.28, 0.39)])
def test_accuracy_is_the_share_of_right_answers(knows: int, low: float, high: float) -> None:
    from lab.evaluation.measures.recall import recall

    model: Any = Oracle(knows)
    figures = recall(model, TASK, EvaluationConfig(batch_size=50), LENGTH)
    assert figures["accuracy"]["1"] == 1  # one value to choose from
    assert low <= figures["accuracy"]["3"] <= high
    assert figures["chance"] == {"1": 1, "3": 1 / 3}
    assert figures["answers"] == {"1": ROWS * 7, "3": ROWS * 3}
    assert figures["mean"] == (figures["accuracy"]["1"] + figures["accuracy"]["3"]) / 2


def test_a_run_says_what_it_has_and_no_more(tmp_path: Path) -> None:
    config = compose([*TINY, f"output={tmp_path}"])
    results = run(config, tmp_path / "run", RunIdentity("test", "recall", 0))
    assert set(results["measures"]["recall"]["accuracy"]) == {"1", "2"}
    assert not {"bits_per_byte", "held_out", "probes"} & set(results)
    assert set(headline(results)) == {"eval/recall/accuracy"}
    assert run(config, tmp_path / "run", RunIdentity("test", "recall", 0)) == results  # read back


def test_a_task_is_opened_like_a_corpus(tmp_path: Path) -> None:
    config = compose(TINY)
    task = prepare_training_data(config.data, config.tokenizer, tmp_path)
    assert task == RecallTask((1, 2), 4)
    assert task.languages == ()
    assert next(open_loader(task, config.data, 8, 4, seed=0)).tokens.shape == (4, 8)
    assert build_probes(task, config.evaluation) == []
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.num_pairs=[]",
            "data.num_pairs=[] cannot be used: it must be one number or more, all different",
        ),
        ("data.num_pairs=[2,2]", "data.num_pairs=[2, 2] cannot be used: it must be one number or more"),
        (
            "data.num_pairs=[5]",
            "data.num_pairs=[5] cannot be used: it must be one number or more, all different",
        ),
        ("trainer.sequence_length=4", "data.num_pairs=[1, 2] cannot be used: pairs are two tokens each"),
        ("data.num_keys=131", "data.num_keys=131 cannot be used: keys and as many values must fit"),
        ("evaluation.measures=[]", "data=recall needs evaluation.measures=[recall]"),
        (
            "evaluation.measures=[recall,gate_rank]",
            "evaluation.measures=gate_rank cannot be used with data=recall",
        ),
        ("data=packages", "evaluation.measures=recall cannot be used with data=packages"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_sentence(override: str, message: str) -> None:
    settings = [word for word in TINY if not (override == "data=packages" and word.startswith("data"))]
    with pytest.raises(ConfigError) as caught:
        compose([*settings, override])
    assert str(caught.value).startswith(message)


def test_a_task_has_no_texts(tmp_path: Path) -> None:
    data = RecallData("recall", [1], 1)
    tokenizer = compose().tokenizer
    for act in (prepare, corpus_directory):
        with pytest.raises(ConfigError, match=r"^data=recall cannot be used here: it has no texts"):
            act(data, tokenizer, tmp_path)


def test_accuracy_is_judged_in_evaluation_mode_and_training_goes_on(tmp_path: Path) -> None:
    from lab.model.decoder import Decoder, initialise

    config = compose(TINY)
    model = initialise(Decoder(config.model), 0).train()
    evaluation = EvaluationConfig(measures=["recall"], decoding=DecodingConfig(1, 2, 1, 1))
    judge(model, RecallTask((1, 2), 4), evaluation, 8)
    assert model.training
