"""What is compared is the same thing: same weights, same loss, same tokens; and the command asks for it in one word."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.benchmark.case import MACHINE, OURS
from lab.benchmark.contenders import DENSE, FAMILIES
from lab.benchmark.decoding import our_decoding, transformers_decoding
from lab.benchmark.suites import COMPARISONS
from lab.benchmark.training import our_training, transformers_training
from lab.benchmark.twin import export
from lab.benchmark.worker import BUILDERS
from lab.config import compose

TINY = [
    "scale.width=32",
    "scale.layers=2",
    "scale.vocab_size=300",
    "scale.dense_width=32",
    "scale.expert_width=16",
    "model/multi_token=none",
    "trainer.batch_size=2",
    "trainer.sequence_length=24",
]


@pytest.mark.parametrize("family", [*FAMILIES, DENSE])
def test_transformers_has_our_weights(family: str, tmp_path: Path) -> None:
    overrides = [f"model={family}", "scale=nano", *TINY]
    export(compose(overrides), tmp_path)
    experts: dict[str, Any] = {} if family == DENSE else {"experts": "grouped_mm"}
    ours = our_training(overrides, "float32")
    theirs = transformers_training(overrides, "float32", str(tmp_path), **experts)
    assert ours.facts["loss"] == pytest.approx(theirs.facts["loss"], abs=2e-5)
    ours.run()
    theirs.run()
    decoding: dict[str, Any] = {"batch": 2, "prompt": 8, "new": 6}
    continued = our_decoding(overrides, "float32", **decoding).facts["continuation"]
    expected = transformers_decoding(overrides, "float32", **decoding, folder=str(tmp_path), **experts)
    assert continued == expected.facts["continuation"]


@pytest.mark.parametrize("suite", COMPARISONS)
def test_every_case_of_a_suite_can_be_asked_for(suite: str, tmp_path: Path) -> None:
    comparisons = COMPARISONS[suite](tmp_path)
    assert len({comparison.name for comparison in comparisons}) == len(comparisons)
    for comparison in comparisons:
        specs = comparison.specs()
        assert specs[0].label == OURS
        assert (specs[-1].label == MACHINE) is comparison.against_machine
        assert len({spec.label for spec in specs}) == len(specs)
        assert all(spec.builder in BUILDERS for spec in specs)
        if "overrides" in specs[0].arguments:
            compose(specs[0].arguments["overrides"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["peers", "--cfg", "job"], "suite: peers"),
        (
            ["everything"],
            "suite=everything is unknown: it can be operators, optimizers, peers, growth, targets",
        ),
        (["only=[nothing]"], "only=['nothing'] leaves nothing of suite=operators"),
        (["rounds=0"], "rounds=0"),
    ],
)
def test_the_command_asks_in_one_word(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stdout + done.stderr
