"""A sweep folder made up of plausible numbers: three variants, a search over three options, five seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .fabricated import write_json

BUDGET_FLOPS = 6.0e11
FLOPS_PER_TOKEN = 7_080_960
TOKENS_PER_STEP = 2_048
STEPS = 41
SECONDS_PER_STEP = 0.25
LENGTHS = (256, 512, 1024)

BITS = {"rope": 1.750, "hybrid": 1.738, "nope": 1.756}  # Korean bits per byte
OPTIONS = {"low": 0.03, "middle": 0.0, "high": 0.05}  # what a learning rate costs
OVERRIDES = {
    "rope": [],
    "hybrid": ["model/position=rope_nope"],
    "nope": ["model/position=none"],
}
SEED_SPREAD, NOISE = 0.02, 0.004  # bits per byte: what seeds share between variants, and what they don't


def fabricate_sweep(
    folder: Path,
    variants: Sequence[str] = tuple(BITS),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    search: bool = True,
) -> Path:
    """Writes a finished sweep into ``folder`` and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    if search:
        jobs += [_job(variant, option, 100, "search") for variant in variants for option in OPTIONS]
    jobs += [
        _job(variant, "middle" if search else None, seed, "compare") for variant in variants for seed in seeds
    ]
    write_json(
        folder / "sweep.json",
        {
            "name": "position",
            "question": "Does a model without positions on its global layers read longer texts?",
            "claim": "It does.",
            "baseline": variants[0],
            "metric": "bits_per_byte.ko",
            "better": "lower",
            "also": ["bits_per_byte.en", "measures.long_context.ko"],
            "seeds": list(seeds),
            "variants": {variant: OVERRIDES[variant] for variant in variants},
            "search": {
                "options": {name: [f"optimizer.learning_rate={rate}"] for name, rate in RATES.items()},
                "seeds": [100],
            }
            if search
            else None,
            **({"chosen": dict.fromkeys(variants, "middle")} if search else {}),
            "jobs": jobs,
            "estimate_seconds": 100.0,
            "code": "f1889810c5d2",
        },
    )
    for job in jobs:
        fabricate_job(folder / job["run"], job)
    return folder


RATES = {"low": 0.001, "middle": 0.002, "high": 0.004}


def _job(variant: str, option: str | None, seed: int, phase: str) -> dict[str, Any]:
    middle = f"-{option}" if option else ""
    digits = np.random.default_rng([seed, *f"{variant}{option}".encode()]).integers(16**8)
    return {
        "variant": variant,
        "option": option,
        "seed": seed,
        "run": f"{variant}{middle}-s{seed}",
        "fingerprint": f"{digits:08x}",
        "phase": phase,
    }


def fabricate_job(folder: Path, job: Mapping[str, Any]) -> Path:
    """Writes one finished run of a sweep."""
    folder.mkdir(parents=True, exist_ok=True)
    seed, variant = job["seed"], job["variant"]
    noise = np.random.default_rng([seed, *variant.encode()])
    shared = np.random.default_rng(seed).normal(0, SEED_SPREAD)
    bits = BITS[variant] + OPTIONS.get(job["option"], 0.0) + shared + noise.normal(0, NOISE)
    tokens = STEPS * TOKENS_PER_STEP
    write_json(folder / "job.json", dict(job))
    write_json(
        folder / "status.json",
        {"state": "done", "step": STEPS, "steps": STEPS, "error": None, "updated": "2026-11-24"},
    )
    write_json(
        folder / "environment.json", {"git": {"revision": "f1889810c5d2", "dirty": False}, "threads": 1}
    )
    config = {
        "seed": seed,
        "model": {"name": "llama", "position": {"kind": variant}},
        "data": {"kind": "packages", "mixture": {"ko": 1.0}, "held_out_fraction": 0.02},
        "tokenizer": {"kind": "byte_bpe", "vocab_size": 2048},
        "trainer": {
            "sequence_length": 256,
            "budget_flops": BUDGET_FLOPS,
            "budget_tokens": None,
            "steps": None,
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for step in range(1, STEPS + 1):
            row = {
                "step": step,
                "tokens": step * TOKENS_PER_STEP,
                "flops": float(step * TOKENS_PER_STEP * FLOPS_PER_TOKEN),
                "seconds": step * SECONDS_PER_STEP,
                "train/loss": bits * 2.5 + 4 / step**0.5 + noise.normal(0, 0.02),
            }
            file.write(json.dumps(row) + "\n")
    slope = {"rope": 0.05, "hybrid": 0.01}.get(variant, 0.02)
    results = {
        "contender": "llama",
        "seed": seed,
        "evaluation": {"sequence_length": None, "batch_size": 16, "max_bytes": 40960, "seed": 0},
        "bits_per_byte": {"ko": bits, "en": bits * 1.2 + noise.normal(0, 0.01)},
        "bits_per_byte_interval": {"ko": [bits - 0.1, bits + 0.1]},
        "held_out": {"ko": {"documents": ["a", "b"], "bits": [1.0, bits], "bytes": [10, 12]}},
        "measures": {
            "long_context": {
                "ko": {str(length): bits + slope * place for place, length in enumerate(LENGTHS)},
            }
        },
        "size": {
            "parameters_total": 1_311_872,
            "parameters_active": 1_311_872,
            "flops_per_token_training": FLOPS_PER_TOKEN,
        },
        "training": {
            "tokens": tokens,
            "flops": float(tokens * FLOPS_PER_TOKEN),
            "steps": STEPS,
            "seconds": STEPS * SECONDS_PER_STEP,
            "final_loss": bits * 2.5 + 4 / STEPS**0.5,
        },
    }
    write_json(folder / "results.json", results)
    return folder
