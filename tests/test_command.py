"""What a user can mistype on any command line ends in one sentence, not in a traceback."""

import subprocess
import sys

import pytest

MISTAKES = {
    "a word that is no setting": (["race", "foo"], "foo is not a setting: a setting is written key=value."),
    "a group set to null": (
        ["train", "experiment=null"],
        "experiment=null cannot be used: leave experiment out",
    ),
    "what must be given": (["table"], "sweep must be given: sweep=..."),
    "another sweeper": (
        ["train", "-m", "hydra/sweeper=basic", "seed=0,1"],
        "hydra/launcher=cores cannot be used here: it needs hydra/sweeper=ablation.",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str) -> None:
    done = run(words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_the_value_of_a_flag_is_no_bare_word() -> None:
    done = run(["train", "-c", "job", "--package", "trainer"])
    assert done.returncode == 0
    assert "budget_flops" in done.stdout


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    command = f"{sys.executable} -m experiments.train --cfg job | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"experiments.{words[0]}", *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)
