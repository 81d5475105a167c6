"""What a run does beside its steps: hooks of the loop, and the callbacks that every run has."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from lab.model.decoder import Decoder
from lab.trainer.checkpoint import Progress, save_checkpoint
from lab.trainer.config import TrainerConfig
from lab.trainer.optimizer import Optimizer
from lab.trainer.plan import Plan
from lab.trainer.run import RunFolder
from lab.trainer.schedule import Schedule
from lab.trainer.tracker import Tracker

SECONDS_BETWEEN_STATUS = 10.0


@dataclass
class Training:
    """Everything a callback can see; ``logged_before`` is the last step an earlier part of the run logged."""

    model: Decoder
    loader: Any
    plan: Plan
    optimizer: Optimizer
    schedule: Schedule
    run: RunFolder
    config: TrainerConfig
    device: torch.device
    progress: Progress = field(default_factory=Progress)
    logged_before: int = 0


class Callback:
    """Hooks of the loop; none of their time counts as training."""

    def on_start(self, training: Training) -> None:
        """Before the first step of this process, when a checkpoint has been taken up."""

    def on_log(self, training: Training, metrics: Mapping[str, float]) -> None:
        """After the first, the last and every ``log_every``-th step, with the line of ``metrics.jsonl``."""

    def on_step(self, training: Training) -> None:
        """After every step."""

    def on_stop(self, training: Training) -> None:
        """After this process's last step: the run's last, or the one a signal came in; not on failure."""

    def on_end(self, training: Training, error: BaseException | None) -> None:
        """When the loop is left, by whatever way."""


class MetricsLog(Callback):
    """Appends to ``metrics.jsonl``."""

    def on_log(self, training: Training, metrics: Mapping[str, float]) -> None:
        training.run.metrics.append(metrics)

    def on_end(self, training: Training, error: BaseException | None) -> None:
        training.run.metrics.close()


class StatusFile(Callback):
    """Keeps ``status.json`` at most ten seconds old."""

    def __init__(self) -> None:
        self._written = time.monotonic()

    def on_step(self, training: Training) -> None:
        if time.monotonic() - self._written >= SECONDS_BETWEEN_STATUS:
            training.run.write_status("running", training.progress.step, training.plan.steps)
            self._written = time.monotonic()


class Checkpoints(Callback):
    """Writes a checkpoint every so many seconds or steps, and where a run ends or is interrupted."""

    def __init__(self) -> None:
        self._step = 0
        self._time = time.monotonic()

    def on_start(self, training: Training) -> None:
        self._step, self._time = training.progress.step, time.monotonic()

    def on_step(self, training: Training) -> None:
        seconds, steps = training.config.checkpoint_every_seconds, training.config.checkpoint_every_steps
        by_time = seconds is not None and time.monotonic() - self._time >= seconds
        by_steps = steps is not None and training.progress.step % steps == 0
        if by_time or by_steps:
            self._save(training)

    def on_stop(self, training: Training) -> None:
        self._save(training)

    def _save(self, training: Training) -> None:
        if training.progress.step == self._step:
            return
        save_checkpoint(
            training.run.checkpoints,
            training.progress,
            training.model,
            training.optimizer,
            training.loader,
            training.config.keep_checkpoints,
        )
        self._step, self._time = training.progress.step, time.monotonic()


class TrackerLog(Callback):
    """Passes on every logged step that an earlier part of the run has not passed on."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def on_log(self, training: Training, metrics: Mapping[str, float]) -> None:
        if metrics["step"] > training.logged_before:
            self._tracker.log(metrics)
