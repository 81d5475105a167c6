"""Progress on the console: one live line on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lab.trainer.callbacks import Callback, Training
from lab.trainer.plan import duration
from lab.trainer.stop import TrainingInterrupted

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REFRESHES = 0.25


@dataclass(frozen=True)
class Pace:
    """Where this process began: the step it went on from, and the seconds trained before."""

    step: int = 0
    seconds: float = 0.0

    def remaining(self, training: Training) -> float:
        """Seconds to go at the mean pace of this process."""
        progress = training.progress
        pace = (progress.seconds - self.seconds) / max(1, progress.step - self.step)
        return pace * (training.plan.steps - progress.step)


class ConsoleProgress(Callback):
    """Prints the plan, then step, loss, learning rate, speed and time to go."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._shown = float("-inf")
        self._pace = Pace()

    def on_start(self, training: Training) -> None:
        progress = training.progress
        self._pace = Pace(progress.step, progress.seconds)
        self._console.print(Text(training.plan.text()), soft_wrap=True)
        if progress.step:
            self._console.print(f"going on after step {progress.step:,} of {training.plan.steps:,}")
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()

    def on_log(self, training: Training, metrics: Mapping[str, float]) -> None:
        interval = SECONDS_BETWEEN_REFRESHES if self._live else SECONDS_BETWEEN_LINES
        last = training.progress.step == training.plan.steps
        if not last and time.monotonic() - self._shown < interval:
            return
        self._shown = time.monotonic()
        line = Text(
            progress_line(training, metrics, self._pace.remaining(training)),
            no_wrap=True,
            overflow="ellipsis",
        )
        if self._live:
            self._live.update(line, refresh=True)
        else:
            self._console.print(line, soft_wrap=True)

    def on_end(self, training: Training, error: BaseException | None) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        if isinstance(error, TrainingInterrupted):
            self._console.print(error.sentence, soft_wrap=True)


def progress_line(training: Training, metrics: Mapping[str, float], remaining: float) -> str:
    """One line: step, loss, learning rate, speed, utilisation and time to go."""
    if "throughput/mfu" in metrics:
        utilisation = f"MFU {metrics['throughput/mfu']:.1%}"
    else:
        utilisation = f"{metrics['throughput/flops_per_second'] / 1e9:,.0f} GFLOP/s (MFU n/a)"
    steps = f"{training.plan.steps:,}"
    return "  ".join(
        (
            f"step {training.progress.step:>{len(steps)},}/{steps}",
            f"loss {metrics['train/loss']:.4f}",
            f"lr {metrics['optim/lr']:.2e}",
            f"{metrics['throughput/tokens_per_second']:,.0f} tokens/s",
            utilisation,
            f"ETA {duration(remaining)}",
        )
    )
