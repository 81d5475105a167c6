"""The console of a sweep: a live view on a terminal, lines elsewhere, and when it will be done."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from lab.files import write_json
from lab.sweep.estimate import Estimate
from lab.sweep.jobs import Job
from lab.sweep.progress import Progress
from lab.sweep.record import claim_folder
from tests.sweep.tiny import question, tiny_sweep

SECONDS_A_JOB = 120.0


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    """Four jobs that cost the same, their folders made."""
    sweep = tiny_sweep(tmp_path, tmp_path, question(search=None, seeds=[0, 1]))
    sweep.folder.mkdir()
    jobs = sweep.compare_jobs({"rope": None, "nope": None})
    for job in jobs:
        claim_folder(sweep, job)
    return jobs


def progress_of(jobs: list[Job], console: Console) -> Progress:
    estimate = Estimate(jobs, jobs, SECONDS_A_JOB / jobs[0].flops, True, at_once=2, gpus=0, code=None)
    assert (
        estimate.line()
        == "4 jobs, 0 done; the rest: about 0.13 core-hours, 4 min 00 s with 2 at once (judged by finished jobs)"
    )
    return Progress(console, "bits_per_byte.ko", estimate)


def finish(job: Job) -> None:
    """What a job leaves when it is done, as far as the console needs it."""
    write_json(job.directory / "status.json", {"state": "done", "step": 24, "steps": 24})
    judged = {"bits_per_byte": {"ko": 1.25}, "evaluation": asdict(job.config.evaluation)}
    write_json(job.directory / "results.json", judged)


def test_lines_say_what_came_of_each_job_and_when_all_will_be_done(jobs: list[Job]) -> None:
    paper = io.StringIO()
    progress = progress_of(jobs, Console(file=paper, width=80))
    progress.begin("comparison", jobs, [])
    progress.start(jobs[0])
    progress.start(jobs[1])
    assert progress.remaining() == pytest.approx(4 * SECONDS_A_JOB / 2)
    write_json(jobs[1].directory / "status.json", {"state": "running", "step": 12, "steps": 24})
    assert progress.remaining() == pytest.approx(3.5 * SECONDS_A_JOB / 2)
    finish(jobs[0])
    progress.finish(jobs[0], 60.0)  # twice as fast as expected
    assert progress.remaining() == pytest.approx(2.5 * 60 / 2)
    progress.finish(jobs[1], 1.0)
    progress.end()
    assert paper.getvalue().splitlines() == [
        "comparison: 4 jobs to run",
        "[1/4] rope-s0  bits_per_byte.ko 1.2500  1 min 00 s  ETA 1 min 15 s",
        "[2/4] nope-s0  FAILED: it did not finish  1 s  ETA 1 min 00 s",
    ]


def test_a_terminal_shows_the_running_jobs(jobs: list[Job]) -> None:
    screen = io.StringIO()
    progress = progress_of(jobs, Console(file=screen, width=80, force_terminal=True))
    progress.begin("comparison", jobs, [])
    progress.start(jobs[0])
    write_json(jobs[0].directory / "status.json", {"state": "running", "step": 6, "steps": 24})
    progress.look()
    progress.end()
    assert "0 of 4 jobs, 1 running, ETA 3 min 45 s" in screen.getvalue()
    assert "rope-s0  25%" in screen.getvalue()
