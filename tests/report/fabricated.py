"""A race folder made up of plausible numbers: what the report is tested on and can be looked at with."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

BUDGET_FLOPS = 3.0e13
SECONDS_PER_STEP = 0.31
STEPS = 400

# Korean bits per byte, parameters (total, active), cache bytes (a token, fixed), layers.
CONTENDERS: dict[str, dict[str, Any]] = {
    "k_exaone": {
        "bits": 1.842,
        "size": (4_180_000, 2_310_000),
        "cache": (512, 98_304),
        "pattern": "LLLGLLLG",
    },
    "ax_k1": {"bits": 1.861, "size": (4_020_000, 2_290_000), "cache": (1_152, 0), "pattern": "GGGGGGGG"},
    "solar_open": {"bits": 1.829, "size": (4_350_000, 2_260_000), "cache": (2_048, 0), "pattern": "GGGGGGGG"},
    "motif_2": {"bits": 1.874, "size": (2_390_000, 2_390_000), "cache": (4_096, 0), "pattern": "GGGGGGGG"},
    "llama": {"bits": 1.902, "size": (2_400_000, 2_400_000), "cache": (2_048, 0), "pattern": "GGGGGGGG"},
}
YARDSTICKS = {
    "bigram": {"ko": 2.87, "en": 3.41, "code": 3.22},
    "five_gram": {"ko": 2.21, "en": 2.48, "code": 1.97},
    "xz": {"ko": 2.36, "en": 2.59, "code": 1.88},
}


def fabricate_race(
    folder: Path, contenders: Sequence[str] = tuple(CONTENDERS), seeds: Sequence[int] = (0, 1)
) -> Path:
    """Writes a finished race of ``contenders`` times ``seeds`` into ``folder`` and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    race = {
        "contenders": list(contenders),
        "seeds": list(seeds),
        "budget_flops": BUDGET_FLOPS,
        "command": "make race",
        "corpus": corpus_manifest(),
        "yardsticks": YARDSTICKS,
        "yardstick_tokens": 5_388_132,
    }
    write_json(folder / "race.json", race)
    for contender in contenders:
        for seed in seeds:
            fabricate_run(folder / f"{contender}-s{seed}", contender, seed)
    return folder


def corpus_manifest() -> dict[str, Any]:
    def amount(documents: int, size: int) -> dict[str, int]:
        return {"documents": documents, "lines": 9 * documents, "characters": size // 2, "bytes": size}

    return {
        "format": 1,
        "kind": "packages",
        "languages": {
            "ko": {"train": amount(2_823, 2_881_692), "held_out": amount(58, 58_809)},
            "en": {"train": amount(3_197, 2_877_458), "held_out": amount(68, 52_762)},
            "code": {"train": amount(726, 4_838_182), "held_out": amount(22, 130_438)},
        },
        "tokens": {
            "ko": {"train": 901_204, "held_out": 18_313},
            "en": {"train": 874_551, "held_out": 16_020},
            "code": {"train": 1_603_377, "held_out": 43_101},
        },
        "sources": [
            {
                "source": "django",
                "version": "6.1.3",
                "sha256": "0123456789abcdef" * 4,
                "licence": "BSD-3-Clause",
                "extractor": "gettext_messages + modules",
                "kept": {language: amount(400, 1_000_000) for language in ("ko", "en", "code")},
            },
            {
                "source": "weblate",
                "version": "2026.10.1",
                "sha256": "fedcba9876543210" * 4,
                "licence": "GPL-3.0-or-later",
                "extractor": "gettext_messages",
                "kept": {language: amount(90, 300_000) for language in ("ko", "en")},
            },
        ],
    }


def fabricate_run(folder: Path, contender: str, seed: int) -> Path:
    """Writes one finished run: config, status, metrics, results, environment, architecture."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = CONTENDERS[contender]
    noise = np.random.default_rng([seed, *contender.encode()])
    total, active = facts["size"]
    flops_per_token = 6 * active + 900_000
    tokens = int(BUDGET_FLOPS / flops_per_token)
    per_token, fixed = facts["cache"]
    config = {
        "name": f"race/{contender}/s{seed}",
        "seed": seed,
        "model": {"name": contender, "width": 192, "layers": [{"mixer": kind} for kind in facts["pattern"]]},
        "optimizer": {"name": "adamw", "learning_rate": 0.003, "weight_decay": 0.1},
        "trainer": {"sequence_length": 256, "batch_size": 16, "tokens": tokens, "precision": "float32"},
        "tokenizer": {"kind": "bpe", "vocab_size": 8192},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    write_json(
        folder / "environment.json",
        {
            "git": {"revision": "f1889810c5d2", "dirty": False},
            "python": "3.11.14",
            "platform": "Linux",
            "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
            "device": "cpu",
            "threads": 2,
        },
    )
    status = {
        "state": "done",
        "step": STEPS,
        "steps": STEPS,
        "error": None,
        "updated": "2026-11-24T06:30:00+00:00",
    }
    write_json(folder / "status.json", status)
    final = facts["bits"] * 3.55 + noise.normal(0, 0.02)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as file:
        for step in range(2, STEPS + 1, 2):
            share = step / STEPS
            bits = final + (13.0 - final) * math.exp(-9 * share**0.45) * (1 - share) + noise.normal(0, 0.05)
            file.write(json.dumps(metrics_row(step, share, tokens, bits)) + "\n")
    bits = facts["bits"] + noise.normal(0, 0.008)
    accuracies = {"object_particle": 0.97 - 0.1 * bits, "particle_role": 0.9 - 0.19 * bits}
    results = {
        "contender": contender,
        "seed": seed,
        "bits_per_byte": {"ko": bits, "en": bits * 1.155, "code": bits * 1.01 + noise.normal(0, 0.02)},
        "probes": {name: probe(accuracy, noise) for name, accuracy in accuracies.items()},
        "throughput": {
            "train_tokens_per_second": 13_000 * 2.3e6 / active + noise.normal(0, 90),
            "decode_tokens_per_second": 410 + noise.normal(0, 9),
        },
        "size": {
            "parameters_total": total,
            "parameters_active": active,
            "cache_bytes_per_token": per_token,
            "cache_bytes_fixed": fixed,
            "flops_per_token_forward": flops_per_token // 3,
            "flops_per_token_training": flops_per_token,
        },
        "training": {
            "tokens": tokens,
            "flops": float(tokens * flops_per_token),
            "steps": STEPS,
            "seconds": STEPS * SECONDS_PER_STEP,
        },
    }
    write_json(folder / "results.json", results)
    write_json(folder / "architecture.json", architecture(contender))
    return folder


def metrics_row(step: int, share: float, tokens: int, bits: float) -> dict[str, float]:
    return {
        "step": step,
        "tokens": tokens * share,
        "flops": BUDGET_FLOPS * share,
        "seconds": step * SECONDS_PER_STEP,
        "train/loss": bits * math.log(2),
        "train/bits_per_token": bits,
        "optim/lr": 0.003 * (1 - share),
    }


def probe(accuracy: float, noise: np.random.Generator) -> dict[str, float]:
    accuracy += noise.normal(0, 0.01)
    margin = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 300)
    return {
        "accuracy": accuracy,
        "chance": 0.5,
        "num_items": 300,
        "low": accuracy - margin,
        "high": accuracy + margin,
    }


def architecture(contender: str) -> dict[str, Any]:
    facts = CONTENDERS[contender]
    total, active = facts["size"]
    sparse = total > active
    hybrid = "L" in facts["pattern"]
    layers = [
        {
            "mixer": "local" if kind == "L" else "global",
            "window": 64 if kind == "L" else None,
            "feed_forward": "experts" if sparse and depth > 0 else "dense",
            "position": "none" if hybrid and kind == "G" else "yarn" if contender == "ax_k1" else "rope",
        }
        for depth, kind in enumerate(facts["pattern"])
    ]
    embedding = 8192 * 96
    parts = {"embedding": embedding, "attention": 620_000, "joins": 4_000, "head": embedding}
    if sparse:
        parts |= {"router": 18_000, "feed_forward": 110_000}
    rest = total - sum(parts.values())
    parts["experts" if sparse else "feed_forward"] = rest
    return {"contender": contender, "layers": layers, "parts": parts}


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
