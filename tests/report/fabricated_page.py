"""A fabricated sweep with everything that a report can show: layers, samples, a tracker, where it ran, a failure."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .fabricated import write_json
from .fabricated_sweep import fabricate_sweep

WRITTEN = {
    "ko": ("이 문서는", " 공공 데이터를 쉽게 읽는 방법을 설명한다."),
    "code": ("def read_", "file(path):\n    return <open>"),
}


def fabricate_full_sweep(folder: Path, failed: bool = True) -> Path:
    """Writes the sweep into ``folder``; the last variant's last run has failed and another hasn't begun."""
    fabricate_sweep(folder)
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    for job in jobs:
        _furnish(folder / job["run"], job["variant"])
    if failed:
        last, other = (folder / job["run"] for job in jobs[-1:-3:-1])
        (last / "results.json").unlink()
        error = "The loss is not a number at step 23: set a lower optimizer.learning_rate."
        write_json(last / "status.json", {"state": "failed", "step": 23, "steps": 41, "error": error})
        for path in other.iterdir():
            path.unlink()
        other.rmdir()
    return folder


def _furnish(run: Path, variant: str) -> None:
    results = json.loads((run / "results.json").read_text())
    results["measures"]["samples"] = {
        language: {"prompt": prompt, "text": text} for language, (prompt, text) in WRITTEN.items()
    }
    write_json(run / "results.json", results)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {
        "optimizer": {"kind": "muon", "learning_rate": 0.002},
        "tracker": {"mode": "offline", "project": "sovereign-lab", "group": None, "tags": []},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    write_json(
        run / "environment.json",
        {
            "git": {"revision": "f1889810c5d2", "dirty": False},
            "python": "3.11.14",
            "packages": {"torch": "2.13.0"},
            "device": "cpu",
            "threads": 1,
        },
    )
    layers = [
        {
            "mixer": "global" if depth == 3 else "local",
            "window": None if depth == 3 else 64,
            "feed_forward": "dense",
            "position": "none" if variant == "nope" or (variant == "hybrid" and depth == 3) else "rope",
        }
        for depth in range(4)
    ]
    parts = {"embedding": 400_000, "attention": 300_000, "feed_forward": 211_872, "head": 400_000}
    write_json(run / "architecture.json", {"contender": "llama", "layers": layers, "parts": parts})
