"""The command, on folders that a test makes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from lab.independence.testbed.models import fresh

ROOT = Path(__file__).resolve().parents[2]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "experiments.audit", *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_verdict_in_json(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        save_file(fresh(seed), tmp_path / name / "model.safetensors")
    done = command(f"a={tmp_path}/one", f"b={tmp_path}/other", "format=json", "audit.draws=1999")
    assert done.returncode == 0, done.stderr
    verdicts = {v["module"]: v["words"] for v in json.loads(done.stdout)["verdicts"]}
    assert verdicts["whole"].startswith("no shared weights detected above")
    assert verdicts["encoder"] == "not testable"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a=.", "b=.", "format=html"], "format=html is unknown"),
        (["a=.", "b=.", "audit.draws=5"], "draws=5 cannot be used"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(words: list[str], sentence: str) -> None:
    done = command(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
