"""An interrupted and continued run is the run left alone, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lab.trainer.callbacks import Callback, Training
from lab.trainer.checkpoint import newest_checkpoint
from lab.trainer.stop import TrainingInterrupted
from tests.trainer.stand_in import MUON, train_tiny
from tests.trainer.worker import SETTINGS, STEPS

ROOT = Path(__file__).resolve().parents[2]
DIFFER_BY_RUN = ("seconds", "throughput/tokens_per_second", "throughput/flops_per_second")


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without what a clock decides."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in DIFFER_BY_RUN} for line in lines]


def assert_same_run(run: Path, other: Path) -> None:
    first, second = newest_checkpoint(run), newest_checkpoint(other)
    assert first is not None
    assert second is not None
    assert first.name == second.name
    for file in ("model.safetensors", "optimizer.safetensors"):
        ours, theirs = load_file(first / file), load_file(second / file)
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
    assert metrics(run) == metrics(other)


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step, self.action = step, action

    def on_step(self, training: Training) -> None:
        if training.progress.step == self.step:
            self.action()


def lines(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_kill_nine_at_a_random_step(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_tiny(whole, optimizer=MUON, **SETTINGS)
    command = [sys.executable, "-m", "tests.trainer.worker", str(killed)]
    at = random.randrange(2, STEPS - 5)
    process = subprocess.Popen(command, cwd=ROOT)
    while lines(killed) < at and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"killed too late, at {at}"
    assert json.loads((killed / "status.json").read_text())["state"] == "running"
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert_same_run(whole, killed)
    assert [line["step"] for line in metrics(killed)] == list(range(1, STEPS + 1)), f"killed at {at}"
    assert json.loads((killed / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_writes_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_tiny(whole)
    former = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted) as stop:
        train_tiny(stopped, At(5, lambda: os.kill(os.getpid(), number)))
    assert stop.value.code == 128 + number
    assert signal.getsignal(number) == former
    status = json.loads((stopped / "status.json").read_text())
    assert (status["state"], status["step"], status["steps"]) == ("running", 5, 12)
    assert f"Interrupted by {number.name} after step 5 of 12" in status["error"]
    train_tiny(stopped)
    assert json.loads((stopped / "status.json").read_text())["error"] is None
    assert_same_run(whole, stopped)


def test_a_signal_in_the_last_step_still_stops_the_program_but_the_run_is_done(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        train_tiny(tmp_path, At(12, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"


def test_a_second_signal_interrupts_at_once(tmp_path: Path) -> None:
    def twice() -> None:  # raised in this thread, so that the first is noted before the second comes
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path, At(5, twice))
    train_tiny(tmp_path)


def test_a_signal_that_was_to_be_ignored_stays_ignored(tmp_path: Path) -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train_tiny(tmp_path, At(5, lambda: signal.raise_signal(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, former)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"


def test_a_damaged_newest_checkpoint_costs_steps_but_not_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, other = tmp_path / "whole", tmp_path / "other"
    train_tiny(whole)
    with pytest.raises(TrainingInterrupted):
        train_tiny(other, At(8, lambda: os.kill(os.getpid(), signal.SIGTERM)), checkpoint_every_steps=3)
    weights = other / "checkpoints" / "step-00000008" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    train_tiny(other)
    assert "step-00000008 is damaged" in capsys.readouterr().out
    assert_same_run(whole, other)


def test_seconds_add_up_over_the_parts(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        train_tiny(tmp_path, At(5, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    _, outcome = train_tiny(tmp_path)
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert outcome.seconds > last["seconds"] > 0
    assert seconds == sorted(seconds)


def test_a_finished_run_is_read_not_repeated(tmp_path: Path) -> None:
    _, first = train_tiny(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    model, second = train_tiny(tmp_path)
    assert first == second
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    checkpoint = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert torch.equal(model.head.weight, load_file(checkpoint / "model.safetensors")["head.weight"])
