"""Suite ``peers``: training steps and decoding of whole models, ours and transformers' in every good configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.benchmark.case import OURS, CaseSpec, Comparison
from lab.benchmark.contenders import DENSE, FAMILIES, LARGE, NANO, contender, exported_to

PRECISIONS = ("float32", "bfloat16")

TRAINING: Mapping[str, Mapping[str, Any]] = {
    "transformers": {},
    "transformers, compiled": {"compiled": True},
}
"""Configurations for a training step."""

DECODING: Mapping[str, Mapping[str, Any]] = {
    "transformers": {},
    "transformers, static cache, compiled": {"cache": "static", "compiled": True},
}
"""Configurations for decoding; a static cache by itself is no faster than the dynamic one."""

EXPERTS, EAGER_EXPERTS = {"experts": "grouped_mm"}, {"experts": "eager"}
"""Implementations of a mixture's experts: all tokens of an expert together, and a loop over the experts.

The loop is tried where it came near, in a float32 step at the larger size. The third, ``batched_mm``, copies an
expert's weights for every token that asks for it; it took ten times as long in a step and 1.3 to 1.7 times in decoding.
"""

PROMPT, NEW = 128, 64
BATCHES = (1, 16)


def peers(folder: Path) -> list[Comparison]:
    """The larger size first, then the size of the race's smallest models."""
    comparisons = []
    for family in (*FAMILIES, DENSE):
        comparisons += [_training(folder, family, LARGE, precision) for precision in PRECISIONS]
        comparisons += [_decoding(folder, family, LARGE, batch, "float32") for batch in BATCHES]
    comparisons += [_decoding(folder, family, LARGE, BATCHES[-1], "bfloat16") for family in FAMILIES]
    for family in FAMILIES:
        comparisons += [_training(folder, family, NANO, precision) for precision in PRECISIONS]
        comparisons += [_decoding(folder, family, NANO, batch, "float32") for batch in BATCHES]
    return comparisons


def training_name(family: str, scale: str, precision: str) -> str:
    """The name of the comparison of training steps."""
    return f"{family}, {scale}, training step, {precision}"


def decoding_name(family: str, scale: str, batch: int, precision: str) -> str:
    """The name of the comparison of decoding."""
    return f"{family}, {scale}, decoding, batch {batch}, {precision}"


def _training(folder: Path, family: str, scale: str, precision: str) -> Comparison:
    arguments = {"overrides": contender(family, scale), "precision": precision}
    configurations = {label: {**chosen, **_experts(family)} for label, chosen in TRAINING.items()}
    if family != DENSE and scale == LARGE and precision == "float32":
        configurations["transformers, eager experts"] = EAGER_EXPERTS
    exported = exported_to(folder, family, scale)
    return Comparison(
        training_name(family, scale, precision),
        CaseSpec(OURS, "our_training", arguments),
        [
            CaseSpec(label, "transformers_training", {**arguments, "folder": exported, **chosen})
            for label, chosen in configurations.items()
        ],
        precision,
    )


def _decoding(folder: Path, family: str, scale: str, batch: int, precision: str) -> Comparison:
    """In bfloat16 transformers gets weights of that type: autocast, which casts them for every token, is slower."""
    arguments = {
        "overrides": contender(family, scale),
        "precision": precision,
        "batch": batch,
        "prompt": PROMPT,
        "new": NEW,
    }
    theirs = {**arguments, "folder": exported_to(folder, family, scale), **_experts(family)}
    return Comparison(
        decoding_name(family, scale, batch, precision),
        CaseSpec(OURS, "our_decoding", arguments),
        [
            CaseSpec(label, "transformers_decoding", {**theirs, **chosen})
            for label, chosen in DECODING.items()
        ],
        precision,
        against_machine=False,
    )


def _experts(family: str) -> dict[str, str]:
    return {} if family == DENSE else EXPERTS
