"""What a sweep does beside running to its end: what it keeps, what it refuses, what it survives."""

import io
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lab.errors import ConfigError
from lab.files import read_json
from lab.sweep import SearchConfig
from lab.sweep.cores import SweepInterrupted
from lab.sweep.jobs import Sweep
from lab.sweep.record import locked
from lab.sweep.run import Cores, complete, preview
from tests.sweep.tiny import question, run_tiny, tiny_sweep

LONG = "trainer.steps=100000"


def small_question(**changes: Any) -> Any:
    """Two variants, one seed, nothing searched: two jobs."""
    return question(**{"seeds": [0], "search": None} | changes)


def run_aloud(sweep: Sweep) -> tuple[list[str], str]:
    """Complete a sweep; the names of the failed jobs and what a file would have got of the console."""
    paper = io.StringIO()
    failed = complete(sweep, Cores(2), Console(file=paper, width=200))
    return [job.run for job in failed], paper.getvalue()


def once(reached: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """A thread that acts as soon as something is so."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def logged(run: Path) -> bool:
    return (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size > 0


def test_a_job_that_the_system_kills_is_recorded_and_the_others_go_on(texts: Path, tmp_path: Path) -> None:
    sweep = tiny_sweep(
        tmp_path, texts, small_question(variants={"rope": [], "nope": ["model/position=none", LONG]})
    )
    victim = sweep.folder / "nope-s0"
    thread = once(
        lambda: logged(victim), lambda: os.kill(int((victim / ".lock").read_text()), signal.SIGKILL)
    )
    failed, console = run_aloud(sweep)
    thread.join()
    assert failed == ["nope-s0"]
    status = read_json(victim / "status.json")
    assert status["state"] == "failed"
    assert status["error"] == "The process was ended by SIGKILL, as the system does when memory runs out."
    assert read_json(sweep.folder / "rope-s0" / "status.json")["state"] == "done"
    (line,) = [line for line in console.splitlines() if line.startswith("failed: ")]
    assert "nope-s0" in line
    assert "same command" in line
    assert "1 jobs done, 1 failed" in console


def test_an_interrupt_leaves_checkpoints_and_no_failure(texts: Path, tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, texts, small_question(), LONG, "trainer.checkpoint_every_steps=null")
    runs = [sweep.folder / "rope-s0", sweep.folder / "nope-s0"]
    thread = once(lambda: all(map(logged, runs)), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(SweepInterrupted, match="130"):
        run_tiny(sweep)
    thread.join()
    for run in runs:
        status = read_json(run / "status.json")
        assert status["state"] == "running"
        assert "SIGTERM" in status["error"]
        (checkpoint,) = (run / "checkpoints").iterdir()
        assert checkpoint.name == f"step-{status['step']:08d}"
        assert not (run / "failure.txt").exists()


def test_a_folder_takes_one_sweep_at_a_time(texts: Path, tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, texts, small_question())
    with locked(sweep), pytest.raises(ConfigError, match=f"in use by process {os.getpid()}"):
        run_tiny(sweep)
    assert not (sweep.folder / "sweep.json").exists()


def test_a_changed_question_keeps_what_still_answers_it(texts: Path, tmp_path: Path) -> None:
    first = tiny_sweep(tmp_path, texts, small_question())
    assert run_tiny(first) == []
    results = {name: first.folder / name / "results.json" for name in ("rope-s0", "nope-s0")}
    written = {name: path.stat().st_mtime_ns for name, path in results.items()}

    yarn = {"rope": [], "nope": ["model/position=none", "scale.dense_width=16"]}
    failed, console = run_aloud(tiny_sweep(tmp_path, texts, small_question(variants=yarn)))
    assert failed == []
    assert results["rope-s0"].stat().st_mtime_ns == written["rope-s0"]
    old = first.compare_jobs({"nope": None})[0].fingerprint
    assert f"nope-s0 was a run of other settings; it is kept in .superseded/nope-s0-{old}" in console
    assert read_json(first.folder / "nope-s0" / "job.json")["fingerprint"] != old

    assert run_tiny(first) == []
    assert {name: path.stat().st_mtime_ns for name, path in results.items()} == written

    failed, console = run_aloud(tiny_sweep(tmp_path, texts, small_question(variants={"rope": []})))
    assert failed == []
    assert "no part of this sweep as it is now: nope-s0" in console


def test_an_option_that_training_diverges_with_is_not_chosen_and_no_failure(
    texts: Path, tmp_path: Path
) -> None:
    options = {"wild": ["optimizer.learning_rate=1e30"], "tame": ["optimizer.learning_rate=1e-3"]}
    asked = small_question(variants={"rope": []}, search=SearchConfig(options, seeds=[100]))
    sweep = tiny_sweep(tmp_path, texts, asked)
    failed, console = run_aloud(sweep)
    assert failed == []
    assert "rope-wild-s100  diverged: " in console
    assert "chosen for rope: tame" in console
    record = read_json(sweep.folder / "sweep.json")
    assert record["chosen"] == {"rope": "tame"}
    assert [job["run"] for job in record["jobs"]] == ["rope-wild-s100", "rope-tame-s100", "rope-tame-s0"]
    assert "all of them done" in run_aloud(sweep)[1]


def test_a_dry_run_says_the_cost_and_writes_nothing(texts: Path, tmp_path: Path) -> None:
    paper = io.StringIO()
    preview(tiny_sweep(tmp_path / "out", texts, question()), Cores(2), Console(file=paper, width=200))
    assert "12 jobs, 0 done; the rest: about " in paper.getvalue()
    assert "core-hours" in paper.getvalue()
    assert "to run  compare, nope, best option, seed 3" in paper.getvalue()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("metric", ["bits_per_byte.en", "probes.object_particle.accuracy"])
def test_a_metric_that_no_run_will_have_is_refused_before_the_launch(
    metric: str, texts: Path, tmp_path: Path
) -> None:
    sweep = tiny_sweep(tmp_path, texts, small_question(metric=metric))
    with pytest.raises(ConfigError, match=f"ablation.metric={metric} will not be in results.json"):
        run_tiny(sweep)
    assert not list(sweep.folder.glob("*/job.json"))


def test_a_metric_that_a_run_turns_out_not_to_have_is_named(texts: Path, tmp_path: Path) -> None:
    sweep = tiny_sweep(tmp_path, texts, small_question(metric="training.final_los"))
    with pytest.raises(
        ConfigError, match=r"training.final_los is not in results.json: .*training.final_loss"
    ):
        run_tiny(sweep, at_once=1)
