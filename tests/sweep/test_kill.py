"""A sweep that is killed, hindered and started again ends with the results of one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.overrides import CONF
from tests.sweep.tiny import quality, question, run_tiny, tiny_sweep

HINDERED = "nope-high-s1"


def start(output: Path) -> subprocess.Popen[bytes]:
    """The twelve jobs in a process group of their own."""
    command = [sys.executable, "-m", "tests.sweep.tiny", str(output)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=CONF.parent, start_new_session=True, stdout=quiet, stderr=quiet)


def in_training(folder: Path, seed: str, least: int) -> Callable[[], bool]:
    """Whether a run whose name ends in ``seed`` has taken ``least`` steps, but is not done."""

    def reached() -> bool:
        runs = [path.parent for path in folder.glob(f"*-s{seed}/metrics.jsonl")]
        unfinished = [run for run in runs if not (run / "results.json").exists()]
        return any((run / "metrics.jsonl").read_bytes().count(b"\n") >= least for run in unfinished)

    return reached


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert process.poll() is None, "the sweep ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def wait_for_silence(folder: Path) -> None:
    """Until no process of a killed sweep holds a run's folder any more."""
    deadline = time.monotonic() + 20
    pids = [int(path.read_text() or 0) for path in folder.glob("*/.lock")]
    while any(pid and Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a job outlived its sweep"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_killed_twice_with_a_job_that_fails_it_ends_with_the_results_of_an_undisturbed_one(
    texts: Path,
) -> None:
    assert run_tiny(tiny_sweep(texts.parent / "whole", texts, question())) == []
    whole = quality(texts.parent / "whole" / "tiny")
    assert len(whole) == 13  # twelve jobs and the choice
    assert f"nope-{whole['chosen']['nope']}-s1" == HINDERED

    output = texts.parent / "killed"
    folder = output / "tiny"
    process = start(output)
    wait_until(in_training(folder, "100", least=5), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_silence(folder)
    assert not list(folder.glob("*-s0"))

    (folder / HINDERED).mkdir()
    obstacle = folder / HINDERED / "checkpoints"
    obstacle.write_text("a file where a folder must be made")
    process = start(output)
    wait_until((folder / HINDERED / "failure.txt").exists, process)
    wait_until(in_training(folder, "[123]", least=10), process)
    os.kill(process.pid, signal.SIGKILL)  # its jobs must end on their own
    process.wait()
    wait_for_silence(folder)
    status = json.loads((folder / HINDERED / "status.json").read_text())
    assert status["state"] == "failed"
    assert "checkpoints" in status["error"]
    finished = [path.parent.name for path in folder.glob("*/results.json")]
    assert 5 <= len(finished) < 12
    before = {name: (folder / name / "results.json").stat().st_mtime_ns for name in finished}

    obstacle.unlink()
    assert run_tiny(tiny_sweep(output, texts, question())) == []
    assert quality(folder) == whole
    assert not list(folder.rglob("failure.txt"))
    assert not list(folder.rglob("*.partial"))
    after = {name: (folder / name / "results.json").stat().st_mtime_ns for name in finished}
    assert after == before, "what was finished was run again"
