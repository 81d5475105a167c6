"""Run folders: one writer, files whole or absent, metrics without duplicates."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.errors import ConfigError
from lab.trainer.environment import describe_environment, git_state
from lab.trainer.metrics import MetricsFile
from lab.trainer.run import RunFolder
from tests.trainer.stand_in import open_run

HOLD_LOCK = """
import fcntl, os, sys, time
file = open(sys.argv[1], "ab+")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(str(os.getpid()).encode()); file.flush()
print("held", flush=True)
time.sleep(60)
"""


def test_a_folder_has_its_config_and_environment(tmp_path: Path) -> None:
    with open_run(tmp_path / "deep" / "run", seed=3, model={"name": "나무"}) as run:
        assert run.status() == {}
        run.write_status("running", 2, 10)
        assert run.status()["state"] == "running"
    text = (tmp_path / "deep/run/config.yaml").read_text(encoding="utf-8")
    assert text == "seed: 3\nmodel:\n  name: 나무\n"
    environment = json.loads((tmp_path / "deep/run/environment.json").read_text(encoding="utf-8"))
    assert environment["packages"]["torch"].startswith(torch.__version__.split("+")[0])
    assert environment["threads"] >= 1
    assert not [path for path in (tmp_path / "deep/run").iterdir() if path.name.endswith(".partial")]


def test_a_second_process_is_turned_away_with_the_first_one_named(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(tmp_path / ".lock")], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ConfigError, match=f"is in use by process .*{holder.pid}: wait for it"):
            open_run(tmp_path)
    finally:
        holder.kill()
        holder.wait()
    open_run(tmp_path).close()


def test_a_killed_holder_and_a_refused_opening_leave_no_lock(tmp_path: Path) -> None:
    open_run(tmp_path, seed=0).close()
    with pytest.raises(ConfigError):
        open_run(tmp_path, seed=1)
    open_run(tmp_path, seed=0).close()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"run folder .*file/run cannot be written \(Not a directory\): set output"
    ):
        open_run(tmp_path / "file" / "run")


def test_a_run_of_before_a_setting_goes_on_under_what_it_meant(tmp_path: Path) -> None:
    open_run(tmp_path, seed=0).close()
    open_run(tmp_path, seed=0, kernels="auto").close()
    with pytest.raises(ConfigError, match=r"kernels=naive is not what .* \(kernels=auto\)"):
        open_run(tmp_path, seed=0, kernels="naive")


def test_other_settings_are_refused_unless_they_cannot_matter(tmp_path: Path) -> None:
    settings = {"seed": 0, "trainer": {"steps": 5, "log_every": 1}, "tracker": {"mode": "auto"}}
    open_run(tmp_path, **settings).close()
    free = {"seed": 0, "trainer": {"steps": 5, "log_every": 10}, "tracker": {"mode": "disabled", "tags": []}}
    open_run(tmp_path, **free).close()
    longer = {"seed": 0, "trainer": {"steps": 6, "log_every": 1}, "tracker": {"mode": "auto"}}
    with pytest.raises(ConfigError, match=r"trainer.steps=6 is not what .* \(trainer.steps=5\)"):
        open_run(tmp_path, **longer)


def test_a_run_that_goes_on_elsewhere_says_so_and_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def environment() -> dict[str, Any]:
        return json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))

    open_run(tmp_path).close()
    begun = environment()
    open_run(tmp_path).close()
    assert environment() == begun
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("lab.trainer.environment.git_state", lambda _: {"revision": "f" * 40, "dirty": False})
    for _ in range(2):
        open_run(tmp_path).close()
    assert environment()["git"]["revision"] == "f" * 40
    assert environment()["earlier"] == [begun]
    assert capsys.readouterr().out.count("begun elsewhere (git differ)") == 1


def test_fresh_empties_the_folder(tmp_path: Path) -> None:
    open_run(tmp_path, seed=0).close()
    (tmp_path / "checkpoints" / "step-00000001").mkdir(parents=True)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    RunFolder.open(tmp_path, {"seed": 1}, torch.device("cpu"), fresh=True).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.yaml", "environment.json"]


def test_metrics_are_cut_back_to_a_step_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    for step in (1, 2, 3, 4):
        metrics.append({"step": step, "train/loss": 1.0 / step})
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 5, "train/lo')
    assert metrics.truncate_after(3) == 4
    metrics.append({"step": 4, "train/loss": 0.25})
    metrics.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_metrics_refuse_what_json_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        MetricsFile(tmp_path / "metrics.jsonl").append({"step": 1, "train/loss": float("nan")})


def test_the_environment_holds_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-key")
    monkeypatch.setattr(sys, "argv", ["train", "key=a-secret-argument"])
    assert "a-secret" not in json.dumps(describe_environment(torch.device("cpu")))


def test_git_state_of_a_clean_and_a_dirty_tree_and_of_none(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"revision": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    assert git_state(tmp_path)["dirty"] is False
    (tmp_path / "new").write_text("x")
    state = git_state(tmp_path)
    assert state["dirty"] is True
    assert len(state["revision"]) == 40
