"""The ways a run ends before its last step."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingFailed(RuntimeError):
    """Training cannot go on; one sentence says at which step, why, and what to try."""


class TrainingDiverged(TrainingFailed):
    """The loss or its gradient is no number any more: a matter of the settings, which the same run meets again."""


class TrainingInterrupted(SystemExit):
    """A signal ended training after a whole step and a checkpoint.

    ``sentence`` says so; left alone, the process exits with the status 128 + signal.
    """

    def __init__(self, signal_number: int, step: int, steps: int) -> None:
        super().__init__(128 + signal_number)
        name = signal.Signals(signal_number).name
        self.sentence = (
            f"Interrupted by {name} after step {step:,} of {steps:,}: the same command goes on from there."
        )


class StopSignals:
    """While entered, SIGINT and SIGTERM are noted in ``caught``; a second one interrupts at once as usual.

    A signal that the process was started to ignore, as a shell does for SIGINT of what a script runs in the background,
    stays ignored. Outside the main thread, where no handler can be set, signals do what they always do.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
