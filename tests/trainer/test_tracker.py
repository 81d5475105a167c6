"""Trackers: nothing they do can end a run, prompt, or leave the run folder."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.trainer.callbacks import Callback, TrackerLog, Training
from lab.trainer.config import TrackerConfig
from lab.trainer.tracker import ForgivingTracker, NullTracker, RunIdentity, tracking
from tests.trainer.stand_in import open_run, train_tiny

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = RunIdentity("race", "k_exaone", 3)


class Recorder(NullTracker):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.lines: list[dict[str, float]] = []
        self.exit_code: int | None = None

    def log(self, metrics: Mapping[str, float]) -> None:
        self.lines.append(dict(metrics))

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


class Broken(NullTracker):
    """Fails at everything."""

    def log(self, metrics: Mapping[str, float]) -> None:
        raise ConnectionError("the service is down")

    def finish(self, exit_code: int) -> None:
        raise ConnectionError("still down")


def test_a_failing_tracker_is_reported_once_and_the_run_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    tracker = ForgivingTracker(Broken(), said.append)
    _, outcome = train_tiny(tmp_path, TrackerLog(tracker), steps=5)
    tracker.finish(0)
    assert outcome.steps == 5
    assert len(said) == 1
    assert "ConnectionError: the service is down" in said[0]


def test_a_continued_run_tells_no_step_twice(tmp_path: Path) -> None:
    class Crash(Callback):
        def on_step(self, training: Training) -> None:
            if training.progress.step == 8:
                raise RuntimeError("the machine")

    recorder = Recorder()
    with pytest.raises(RuntimeError, match="the machine"):
        train_tiny(tmp_path, TrackerLog(recorder), Crash(), checkpoint_every_steps=5)
    train_tiny(tmp_path, TrackerLog(recorder), checkpoint_every_steps=5)
    assert [line["step"] for line in recorder.lines] == list(range(1, 13))
    assert all("tokens" in line for line in recorder.lines)


@pytest.mark.parametrize("error", [None, ValueError("x"), SystemExit(143)])
def test_the_tracker_learns_how_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException | None
) -> None:
    recorder = Recorder()
    monkeypatch.setattr("lab.trainer.tracker._wandb_tracker", lambda *_: recorder)

    def use() -> None:
        with open_run(tmp_path) as run, tracking(TrackerConfig(), run, IDENTITY, {}):
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(type(error)):
            use()
    assert recorder.exit_code == (0 if error is None else 1)


def test_disabled_touches_neither_wandb_nor_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lab.trainer.wandb_tracker", None)  # an import would raise
    with open_run(tmp_path) as run, tracking(TrackerConfig(mode="disabled"), run, IDENTITY, {}) as tracker:
        tracker.log({"tokens": 1})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.yaml", "environment.json"]


def test_wandb_that_cannot_be_imported_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lab.trainer.wandb_tracker", None)
    with open_run(tmp_path) as run, tracking(TrackerConfig(), run, IDENTITY, {}) as tracker:
        tracker.log({"tokens": 1})
    assert capsys.readouterr().out.count("There is no tracker") == 1


def keyless(home: Path, **extra: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "NETRC", "XDG"))
    }
    return kept | {"HOME": str(home)} | extra


def test_offline_stays_in_the_run_folder_and_asks_for_nothing(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    command = [sys.executable, "-m", "tests.trainer.track_offline", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=keyless(home, WANDB_MODE="offline", TMPDIR=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "The tracker failed" not in done.stdout
    assert list((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert json.loads((folder / "tracker.json").read_text())["wandb_run_id"]
    assert not [*home.rglob("*"), *(ROOT / "wandb").rglob("*")]
    assert {path.name for path in tmp_path.iterdir()} <= {"home", "run"}


def test_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.trainer.wandb_tracker import choose_mode

    for name in [name for name in os.environ if name.startswith(("WANDB", "NETRC"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert choose_mode("auto") == "offline"
    assert choose_mode("offline") == "offline"
    with pytest.raises(ConfigError, match=r"tracker.mode=online finds no W&B key"):
        choose_mode("online")
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password " + "a" * 40 + "\n")
    netrc.chmod(0o600)
    assert choose_mode("auto") == "online"
    netrc.unlink()
    monkeypatch.setenv("WANDB_API_KEY", "b" * 40)
    assert choose_mode("auto") == "online"
    assert choose_mode("online") == "online"
    assert choose_mode("offline") == "offline"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert choose_mode("auto") == "offline"


def test_the_name_says_experiment_variant_and_seed() -> None:
    assert IDENTITY.name == "race/k_exaone/s3"


def test_online_without_a_key_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.trainer.wandb_tracker.has_key", lambda: False)
    with (
        open_run(tmp_path) as run,
        pytest.raises(ConfigError, match=r"tracker\.mode=online"),
        tracking(TrackerConfig(mode="online"), run, IDENTITY, {}),
    ):
        pass
