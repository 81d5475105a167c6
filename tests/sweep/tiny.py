"""Sweeps of tiny runs: a question with a search and a comparison, and what its results must agree in.

    python -m tests.sweep.tiny <output>

runs the sweep of twelve jobs below ``output``, on the texts beside it.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from lab.sweep import AblationConfig, SearchConfig
from lab.sweep.jobs import Job, Sweep, compose_sweep
from lab.sweep.run import Cores, complete

TINY = [
    "model=llama",
    "scale.width=16",
    "scale.layers=1",
    "scale.vocab_size=270",
    "scale.window=8",
    "scale.heads=2",
    "scale.kv_heads=1",
    "scale.head_dim=8",
    "scale.dense_width=32",
    "trainer.sequence_length=32",
    "trainer.batch_size=2",
    "trainer.budget_flops=null",
    "trainer.steps=24",
    "trainer.checkpoint_every_steps=3",
    "evaluation.num_items=0",
    "evaluation.max_bytes=2000",
    "evaluation.decoding.new_tokens=2",
    "evaluation.decoding.prompt_length=4",
    "evaluation.decoding.repeats=1",
    "tracker=disabled",
    "device=cpu",
    "data=folder",
    "data.held_out_fraction=0.2",
    "data.mixture={ko: 1.0, en: 0.0, code: 0.0}",
]


def question(**changes: Any) -> AblationConfig:
    """Two variants, two learning rates searched on a seed of their own, four seeds compared: twelve jobs."""
    settings: dict[str, Any] = {
        "question": "Does it matter where a token stands?",
        "baseline": "rope",
        "variants": {"rope": [], "nope": ["model/position=none"]},
        "seeds": [0, 1, 2, 3],
        "search": SearchConfig(
            {"low": ["optimizer.learning_rate=1e-3"], "high": ["optimizer.learning_rate=8e-3"]}, seeds=[100]
        ),
    }
    return AblationConfig(**settings | changes)


def write_texts(folder: Path) -> None:
    """Korean sentences, all different."""
    draw = random.Random(0)
    nouns = ["나라", "사람", "물", "바람", "하늘", "마을", "학교", "시장", "바다", "나무"]
    verbs = ["보았다", "찾았다", "그렸다", "지켰다"]
    for number in range(20):
        lines = [
            f"{draw.choice(nouns)}에서 {draw.choice(nouns)} {draw.randint(1, 999)}번째 것을 {draw.choice(verbs)}."
            for _ in range(12)
        ]
        (folder / f"{number}.txt").write_text("\n".join(lines), encoding="utf-8")


def tiny_sweep(output: Path, texts: Path, ablation: AblationConfig, *overrides: str) -> Sweep:
    """``ablation`` with tiny runs on ``texts``, in the folder ``output/tiny``."""
    return compose_sweep("tiny", ablation, [*TINY, f"data.path={texts}", f"output={output}", *overrides])


def run_tiny(sweep: Sweep, at_once: int = 2) -> list[Job]:
    """Complete a sweep in this process, without a console; returns the failed jobs."""
    return complete(sweep, Cores(at_once), Console(quiet=True))


def quality(folder: Path) -> dict[str, Any]:
    """What must not depend on the clock, of the choice and of every run of a sweep: judged figures, all losses."""
    record = json.loads((folder / "sweep.json").read_text())
    found: dict[str, Any] = {"chosen": record["chosen"]}
    for job in record["jobs"]:
        results = json.loads((folder / job["run"] / "results.json").read_text())
        lines = (folder / job["run"] / "metrics.jsonl").read_text().splitlines()
        found[job["run"]] = {
            **{key: results[key] for key in ("bits_per_byte", "bits_per_byte_interval", "held_out", "size")},
            "final_loss": results["training"]["final_loss"],
            "steps": [
                (row["step"], row["train/loss"], row["optim/grad_norm"]) for row in map(json.loads, lines)
            ],
        }
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    sys.exit(1 if complete(tiny_sweep(place, place.parent / "texts", question()), Cores(2), Console()) else 0)
