"""Trains the stand-in slowly, to be killed: ``python -m tests.trainer.worker FOLDER``."""

import sys
import time
from pathlib import Path

from lab.trainer.callbacks import Callback, Training
from tests.trainer.stand_in import MUON, train_tiny

STEPS = 40
SETTINGS = {"steps": STEPS, "checkpoint_every_steps": 3, "keep_checkpoints": 2}


class Slow(Callback):
    """Gives the killer time."""

    def on_step(self, training: Training) -> None:
        time.sleep(0.02)


if __name__ == "__main__":
    train_tiny(Path(sys.argv[1]), Slow(), optimizer=MUON, **SETTINGS)
