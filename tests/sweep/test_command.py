"""The command: its exit status, its console, and sweeps it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.overrides import CONF
from tests.sweep.tiny import TINY


def train(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "experiments.train", *arguments]
    return subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True, check=False)


def test_a_failed_job_is_told_in_a_line_and_the_status(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "none-s0").mkdir(parents=True)
    (tmp_path / "mine" / "none-s0" / "checkpoints").write_text("a file where a folder must be made")
    own = [f"data.path={texts}", f"output={tmp_path}", "name=mine", "model/position=rope,none"]
    done = train("-m", *TINY, *own, "trainer.steps=4")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("2 jobs, 0 done; the rest: about ") for line in lines)
    assert any("rope-s0  bits_per_byte.ko " in line for line in lines)
    (failed,) = [line for line in lines if line.startswith("failed: ")]
    assert "none-s0" in failed
    assert "The same command runs it again" in failed
    assert "1 jobs done, 1 failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "Traceback" in (tmp_path / "mine" / "none-s0" / "failure.txt").read_text()
    log = (tmp_path / "mine" / "rope-s0" / "log.txt").read_text()
    assert "training FLOPs" in log
    assert "step 4/4" in log


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ablation=polynorm"], ["ablation=polynorm", "-m"]),
        (["-m", "ablation=polynormal"], ["ablation=polynormal", "polynorm"]),
        (["-m", "model=llama", "hydra/launcher=slurn"], ["hydra/launcher=slurn", "slurm", "launchers"]),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(arguments: list[str], words: list[str]) -> None:
    done = train(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    assert [word for word in words if word not in sentence] == []
