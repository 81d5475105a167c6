"""The README's first ablation, run as it stands: its file, its five commands, at a tiny scale."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.repository.files import ROOT, fenced_blocks, shell_commands

INSTALL = "make setup"
PYTHON = ".venv/bin/python "
COPIED = ("lab", "conf", "experiments", "hydra_plugins")
TINY = [
    "data=folder",
    "data.path=corpus",
    "data.mixture={ko: 1, en: 0, code: 0}",
    "data.held_out_fraction=0.2",
    "scale.width=16",
    "scale.layers=1",
    "scale.vocab_size=270",
    "scale.heads=2",
    "scale.head_dim=8",
    "scale.dense_width=16",
    "trainer.budget_flops=null",
    "trainer.steps=3",
    "trainer.batch_size=2",
    "trainer.sequence_length=32",
    "evaluation.max_bytes=500",
    "evaluation.num_items=0",
    "evaluation.decoding.new_tokens=2",
    "evaluation.decoding.prompt_length=2",
    "tracker=disabled",
]


@pytest.fixture(scope="module")
def commands() -> list[str]:
    found = [command for command in shell_commands("README.md") if command.startswith(PYTHON)]
    return [command for command in found if "mine" in command]


def test_an_idea_becomes_a_report_in_five_commands(commands: list[str], tmp_path: Path) -> None:
    assert INSTALL in shell_commands("README.md")
    assert len(commands) == 4
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (own,) = fenced_blocks("README.md", "yaml")
    (tmp_path / "conf" / "ablation" / "mine.yaml").write_text(own, encoding="utf-8")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(30):
        text = "\n".join(f"{number}번째 글의 {line}번째 줄입니다." for line in range(number, number + 12))
        (corpus / f"{number}.txt").write_text(text, encoding="utf-8")
    said = [run(command, tmp_path) for command in commands]
    assert "6 jobs" in said[0]
    assert "6 jobs done, 0 failed" in said[1]
    table = pd.read_csv(tmp_path / "runs" / "mine" / "table.csv")
    assert list(table.key) == ["swiglu", "polynorm"]
    assert "polynorm" in said[2]
    page = (tmp_path / "runs" / "mine" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "runs" / "mine" / "sweep.json").read_text())["question"] in page


def run(command: str, folder: Path) -> str:
    """What a command of the README prints, in a copy of the repository; jobs get a tiny scale."""
    words = [sys.executable, *command.removeprefix(PYTHON).split()]
    words += TINY if "ablation=mine" in words else []
    environment = {**os.environ, "LAB_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_both_languages_show_the_same_file() -> None:
    assert fenced_blocks("README.md", "yaml") == fenced_blocks("README.ko.md", "yaml")
