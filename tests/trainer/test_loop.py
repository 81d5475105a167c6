"""The loop: what it minimises, counts, times and refuses."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.model.record import Losses
from lab.trainer import checkpoint, loop
from lab.trainer.callbacks import Callback, Training
from lab.trainer.config import ScheduleConfig
from lab.trainer.optimizer import build_optimizer
from lab.trainer.schedule import Schedule
from lab.trainer.stop import TrainingFailed
from tests.trainer.stand_in import ADAMW, MUON, TinyLoader, TinyModel, tiny_plan, train_tiny, trainer_config


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("optimizer", [ADAMW, MUON], ids=["adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns_to_count(tmp_path: Path, optimizer: Any, precision: str) -> None:
    model = TinyModel(noise=0.0)
    _, outcome = train_tiny(tmp_path, model=model, optimizer=optimizer, steps=60, precision=precision)
    losses = [line["train/loss"] for line in logged(tmp_path)]
    assert losses[0] > 3.4
    assert outcome.final_loss == losses[-1] < 1.0
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_line_says_what_was_spent(tmp_path: Path) -> None:
    _, outcome = train_tiny(tmp_path, steps=6, log_every=2)
    lines = logged(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 4, 6]
    for line in lines:
        assert line["tokens"] == 48 * line["step"]
        assert line["flops"] == 30_000.0 * line["tokens"]
        assert line["optim/lr"] <= 1e-2
        assert line["train/balance"] > 0
        assert line["moe/max_over_mean"] >= 1
        assert "throughput/mfu" not in line
    assert (outcome.steps, outcome.tokens, outcome.flops) == (6, 288, 288 * 30_000.0)


class Pause(Callback):
    def on_step(self, training: Training) -> None:
        time.sleep(0.05)


def test_time_outside_steps_is_not_training(tmp_path: Path) -> None:
    started = time.monotonic()
    _, outcome = train_tiny(tmp_path, Pause(), steps=10, checkpoint_every_steps=1)
    assert time.monotonic() - started > 0.5 + outcome.seconds
    line = logged(tmp_path)[-1]
    assert line["seconds"] == pytest.approx(outcome.seconds, abs=1e-3)


def test_accumulating_two_batches_is_one_batch_of_twice_the_rows(tmp_path: Path) -> None:
    """Up to rounding, although the batches ignore different numbers of targets."""

    class DoubleLoader(TinyLoader):
        def __next__(self) -> Any:
            first, second = super().__next__(), super().__next__()
            names = ("tokens", "targets", "documents", "positions")
            joined = {name: torch.cat((getattr(first, name), getattr(second, name))) for name in names}
            return type(first)(**joined)

    def gradients(loader: TinyLoader, passes: int) -> list[Tensor]:
        model = TinyModel(noise=0.0)
        config = trainer_config(gradient_accumulation=passes, clip_norm=None)
        optimizer = build_optimizer(model, ADAMW)
        kept: list[Tensor] = []
        optimizer.step = lambda factor: kept.extend(p.grad.clone() for p in model.parameters())  # type: ignore
        schedule = Schedule(ScheduleConfig(), 10)
        plan = tiny_plan(config)
        loop._step(Training(model, loader, plan, optimizer, schedule, None, config, torch.device("cpu")))  # type: ignore
        return kept

    for mine, theirs in zip(gradients(TinyLoader(), 2), gradients(DoubleLoader(), 1), strict=True):
        torch.testing.assert_close(mine, theirs)


class BreaksAt(TinyModel):
    """Becomes infinite at a step, in the loss or in an auxiliary loss alone."""

    def __init__(self, step: int, where: str) -> None:
        super().__init__()
        self.remaining, self.where = step, where

    def losses(self, *batch: Tensor, **options: bool) -> Losses:
        losses = super().losses(*batch, **options)
        self.remaining -= 1
        if self.remaining == 0:
            broken = losses.main * float("inf")
            return (
                Losses(broken, {}, losses.loads)
                if self.where == "loss"
                else Losses(losses.main, {"balance": broken}, losses.loads)
            )
        return losses


@pytest.mark.parametrize(("where", "name"), [("loss", "loss"), ("auxiliary", "gradient norm")])
def test_a_number_that_is_none_stops_the_run_before_the_weights_break(
    tmp_path: Path, where: str, name: str
) -> None:
    model = BreaksAt(8, where)
    with pytest.raises(TrainingFailed, match=f"The {name} became .* at step 8; .*optimizer.learning_rate"):
        train_tiny(tmp_path, model=model, checkpoint_every_steps=3)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 7)
    assert "at step 8" in status["error"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000003",
        "step-00000006",
    ]
    assert [line["step"] for line in logged(tmp_path)] == list(range(1, 8))
    train_tiny(tmp_path)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: Any, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingFailed, match=r"No space left on device.*give the same command again"):
        train_tiny(tmp_path)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "failed"


def test_memory_that_runs_out_names_the_batch(tmp_path: Path) -> None:
    class Greedy(TinyModel):
        def losses(self, *batch: Tensor, **options: bool) -> Losses:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(
        TrainingFailed, match=r"at step 1: set trainer.activation_checkpointing=true, or halve"
    ):
        train_tiny(tmp_path, model=Greedy())


def test_hooks_fire_in_order(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listener(Callback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_"):
                heard.append(name)
            return super().__getattribute__(name)

    train_tiny(tmp_path, Listener(), steps=3, log_every=2)
    assert heard == [
        "on_start",
        "on_log",
        "on_step",
        "on_log",
        "on_step",
        "on_log",
        "on_step",
        "on_stop",
        "on_end",
    ]


def test_the_loop_itself_is_cheap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything around batches, forward, backward and optimiser: under two milliseconds a step."""
    spent = 0.0

    def timed(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal spent
            started = time.process_time()
            result = function(*arguments, **named)
            spent += time.process_time() - started
            return result

        return call

    monkeypatch.setattr(TinyModel, "losses", timed(TinyModel.losses))
    monkeypatch.setattr(Tensor, "backward", timed(Tensor.backward))
    monkeypatch.setattr(TinyLoader, "__next__", timed(TinyLoader.__next__))
    monkeypatch.setattr(loop.Optimizer, "step", timed(loop.Optimizer.step))

    def overhead(steps: int) -> float:
        nonlocal spent
        spent, started = 0.0, time.process_time()
        train_tiny(tmp_path / str(steps), steps=steps)
        return time.process_time() - started - spent

    short, long = overhead(20), overhead(120)  # their difference leaves out starting and ending
    assert (long - short) / 100 < 2e-3
