"""A run seen from a notebook: one output that is renewed in place, and a kernel left as it was found."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from lab.report.display import contender_title
from lab.report.runs import read_run
from lab.report.views import curve_html, note, title, view
from lab.trainer.callbacks import Callback, Training
from lab.trainer.console import Pace, progress_line
from lab.trainer.plan import duration
from lab.trainer.stop import TrainingInterrupted

SECONDS_BETWEEN_VIEWS = 1.0
MOST_POINTS = 600  # of the curve; a long run is thinned to these, so that an output stays small


class LiveCurve(Callback):
    """Shows the loss so far, and step, speed and time to go, at most once a second, in one output."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._points: list[tuple[float, float]] = []
        self._line = ""
        self._shown = float("-inf")
        self._handle: Any = None

    def on_start(self, training: Training) -> None:
        progress, plan = training.progress, training.plan
        self._pace = Pace(progress.step, progress.seconds)
        before = read_run(training.run.directory).metrics
        if {"tokens", "train/loss"} <= set(before.columns):
            self._points = list(zip(before["tokens"], before["train/loss"], strict=True))
        going_on = f"going on after step {progress.step:,} of " if progress.step else ""
        self._line = f"{going_on}{plan.steps:,} steps, about {duration(plan.estimated_seconds)} in all"
        self._show(training)

    def on_log(self, training: Training, metrics: Mapping[str, float]) -> None:
        self._points.append((metrics["tokens"], metrics["train/loss"]))
        self._line = progress_line(training, metrics, self._pace.remaining(training))
        if time.monotonic() - self._shown >= SECONDS_BETWEEN_VIEWS:
            self._show(training)

    def on_end(self, training: Training, error: BaseException | None) -> None:
        if isinstance(error, TrainingInterrupted):
            self._show(training, error.sentence)
        else:
            self._show(training, str(error) if error else "", bad=error is not None)

    def _show(self, training: Training, sentence: str = "", bad: bool = False) -> None:
        from IPython.display import HTML, display

        self._shown = time.monotonic()
        thinning = len(self._points) // MOST_POINTS + 1
        kept = self._points[::-thinning][::-1]  # the newest point always
        tokens, losses = [point[0] for point in kept], [point[1] for point in kept]
        content = view(
            title(contender_title(training.model.config.name), str(training.run.directory)),
            curve_html(tokens, losses, "tokens", "loss, nats per token", end=training.plan.tokens),
            note(self._line),
            note(sentence, bad) if sentence else "",
        )
        if self._handle is None:
            self._handle = display(HTML(content), display_id=True)
        else:
            self._handle.update(HTML(content))


@contextmanager
def kernel_undisturbed() -> Iterator[None]:
    """Torch's random numbers and threads are afterwards what they were before, however the block is left."""
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(threads)
