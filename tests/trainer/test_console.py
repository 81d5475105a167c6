"""What a user sees while it trains."""

import contextlib
import io
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from lab.trainer import console as module
from lab.trainer.callbacks import Callback, Training
from lab.trainer.console import ConsoleProgress
from lab.trainer.stop import TrainingInterrupted
from tests.trainer.stand_in import train_tiny


def watched(
    directory: Path, *callbacks: Callback, terminal: bool = False, steps: int = 6, width: int = 120
) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width, highlight=False)
    with contextlib.suppress(TrainingInterrupted):
        train_tiny(directory, ConsoleProgress(console), *callbacks, steps=steps)
    return stream.getvalue()


def test_plain_lines_show_the_plan_and_now_and_then_a_step(tmp_path: Path) -> None:
    lines = watched(tmp_path, width=40).splitlines()
    assert lines[0].startswith("parameters")
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split()[1] for line in steps] == ["1/6", "6/6"], "five seconds apart, first and last always"
    for word in ("loss", "lr", "tokens/s", "GFLOP/s (MFU n/a)", "ETA 0 s"):
        assert word in steps[-1]


def test_a_terminal_has_one_live_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_REFRESHES", 0.0)
    text = watched(tmp_path, terminal=True)
    assert text.count("step ") >= 6
    assert "\x1b[2K" in text, "the line is rewritten in place"
    assert text.endswith("\x1b[?25h"), "the cursor comes back"


def test_an_interruption_is_a_sentence_and_the_next_run_says_where_it_goes_on(tmp_path: Path) -> None:
    class Stop(Callback):
        def on_step(self, training: Training) -> None:
            if training.progress.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    assert "Interrupted by SIGTERM after step 3 of 6: the same command goes on" in watched(tmp_path, Stop())
    assert "going on after step 3 of 6" in watched(tmp_path)
