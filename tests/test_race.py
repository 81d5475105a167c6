"""The race as its user meets it: whole, killed and continued, repeated, and refused."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.overrides import CONF

CONTENDERS = ("k_exaone", "motif_2")
TINY = [
    "scale.width=32",
    "scale.layers=4",
    "scale.vocab_size=300",
    "scale.window=8",
    "scale.heads=2",
    "scale.head_dim=16",
    "scale.differential_head_dim=4",
    "scale.dense_width=48",
    "scale.expert_width=16",
    "scale.experts=4",
    "trainer.sequence_length=32",
    "trainer.batch_size=2",
    "trainer.budget_flops=null",
    "trainer.steps=24",
    "trainer.checkpoint_every_steps=3",
    "trainer.threads=1",
    "evaluation.num_items=0",
    "evaluation.decoding.new_tokens=2",
    "evaluation.decoding.prompt_length=4",
    "tracker=disabled",
    "device=cpu",
    f"contenders=[{','.join(CONTENDERS)}]",
]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Korean sentences, English sentences and functions, all different."""
    folder = tmp_path_factory.mktemp("text")
    draw = random.Random(0)
    nouns = ["나라", "사람", "물", "바람", "하늘", "마을", "학교", "시장", "바다", "나무", "겨울", "도서관"]
    verbs = ["보았다", "찾았다", "그렸다", "지켰다", "옮겼다", "배웠다", "만들었다", "잊었다"]
    for number in range(40):
        lines = [
            f"{draw.choice(nouns)}에서 {draw.choice(nouns)} {draw.randint(1, 999)}번째 것을 {draw.choice(verbs)}."
            for _ in range(12)
        ]
        (folder / f"ko{number}.txt").write_text("\n".join(lines), encoding="utf-8")
        words = " ".join(draw.choice(["river", "stone", "market", "letter", "garden"]) for _ in range(80))
        (folder / f"en{number}.txt").write_text(f"{number} {words} {draw.random()}", encoding="utf-8")
        code = "\n".join(
            f"def step_{draw.randint(0, 10**6)}(x):\n    return x * {draw.random()}" for _ in range(6)
        )
        (folder / f"code{number}.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def command(text: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    data = ["data=folder", f"data.path={text}", "data.held_out_fraction=0.2"]
    return [sys.executable, "-m", "experiments.race", *TINY, *data]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    import os

    return {**os.environ, "LAB_CACHE": str(tmp_path_factory.mktemp("cache")), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(
    command: list[str], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(
        [*command, f"output={folder}", "name=race"],
        env=environment,
        cwd=CONF.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"report: {folder / 'race' / 'report.html'}" in done.stdout
    return folder / "race"


def quality(folder: Path) -> dict[str, object]:
    """What must not depend on the clock: judged quality, losses of every step."""
    found: dict[str, object] = {}
    for contender in CONTENDERS:
        results = json.loads((folder / f"{contender}-s0" / "results.json").read_text())
        lines = (folder / f"{contender}-s0" / "metrics.jsonl").read_text().splitlines()
        found[contender] = (
            results["bits_per_byte"],
            results["training"]["final_loss"],
            [(row["step"], row["train/loss"], row["optim/grad_norm"]) for row in map(json.loads, lines)],
        )
    return found


def test_a_race_leaves_tables_and_a_report(undisturbed: Path) -> None:
    race = json.loads((undisturbed / "race.json").read_text())
    assert race["contenders"] == list(CONTENDERS)
    assert set(race["yardsticks"]) == {"bigram", "five_gram", "xz"}
    report = (undisturbed / "report.html").read_text(encoding="utf-8")
    table = (undisturbed / "table.md").read_text(encoding="utf-8")
    for contender in CONTENDERS:
        results = json.loads((undisturbed / f"{contender}-s0" / "results.json").read_text())
        for value in results["bits_per_byte"].values():
            assert f"{value:.3f}" in report
            assert f"{value:.3f}" in table


def test_killed_at_random_and_started_again_it_ends_the_same(
    undisturbed: Path, command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    full = [*command, f"output={tmp_path}", "name=race"]
    draw = random.Random()
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            full, env=environment, cwd=CONF.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        contender = draw.choice(CONTENDERS)
        wanted = draw.randint(1, 20)
        metrics = tmp_path / "race" / f"{contender}-s0" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if metrics.exists() and metrics.read_bytes().count(b"\n") >= wanted:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        process.wait()
    assert kills >= 1
    done = subprocess.run(full, env=environment, cwd=CONF.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert quality(tmp_path / "race") == quality(undisturbed)


def test_the_same_seed_gives_the_same_quality_again(
    undisturbed: Path, command: list[str], environment: dict[str, str]
) -> None:
    before = quality(undisturbed)
    again = [*command, f"output={undisturbed.parent}", "name=race", "fresh=true"]
    subprocess.run(again, env=environment, cwd=CONF.parent, capture_output=True, check=True)
    assert quality(undisturbed) == before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.path=/nowhere/at/all"], ["data.path", "/nowhere/at/all"]),
        (["contenders=[llama,llama]"], ["contenders", "llama"]),
        (["contenders=[llamma]"], ["llamma", "llama"]),
        (["model=llama"], ["model=llama", "contenders"]),
        (["output=/proc/race"], ["output", "/proc/race"]),
        (["trainer.batch_size=100000"], ["trainer.batch_size=100000", "tokens"]),
    ],
)
def test_bad_input_is_one_sentence(
    overrides: list[str], words: list[str], command: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    full = [*command, f"output={tmp_path}", *overrides]
    done = subprocess.run(full, env=environment, cwd=CONF.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    (sentence,) = done.stderr.strip().splitlines()
    assert [word for word in words if word not in sentence] == []
    assert list(tmp_path.rglob("results.json")) == []
