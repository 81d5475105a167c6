"""A process that tracks with W&B: ``python -m tests.trainer.track_offline FOLDER``."""

import os
import sys
from pathlib import Path

from lab.trainer.callbacks import TrackerLog
from lab.trainer.config import TrackerConfig
from lab.trainer.run import RunFolder
from lab.trainer.tracker import RunIdentity, tracking
from tests.trainer.stand_in import open_run, train_tiny

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    run: RunFolder = open_run(folder)
    run.write_json("results.json", {"contender": "tiny"})
    run.close()
    settings = {"model": {"width": 16}, "n_params": 5000}
    identity = RunIdentity("smoke", "tiny", 0)
    with tracking(TrackerConfig(tags=["debug"]), run, identity, settings) as tracker:
        train_tiny(folder, TrackerLog(tracker), steps=4)
        tracker.artifact("results-tiny", "results", folder / "results.json", {"step": 4})
    assert not [name for name in os.environ if name.startswith("WANDB_") and name.endswith("_DIR")]
