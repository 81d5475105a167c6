"""Suite ``growth``: what a step costs as one of its sizes grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.benchmark.case import OURS, CaseSpec, Comparison
from lab.benchmark.contenders import LARGE, contender, exported_to
from lab.benchmark.peers import EXPERTS

GROWN = "k_exaone"
TOKENS = 2048
"""Tokens of a training step, in one row or several."""

PEER = "transformers"
SOFTMAX = "softmax attention"


@dataclass(frozen=True)
class Series:
    """What grows: the axis's ``title``, the setting, its values and what each is compared with."""

    title: str
    setting: str
    values: Sequence[int]
    other: str = PEER

    def name(self, value: int) -> str:
        """The comparison at ``value``."""
        return f"{self.title}: {value}"


DELTA = Series("tokens of delta attention", "T", (1024, 2048, 4096, 8192, 16_384, 32_768), SOFTMAX)
"""Kimi delta attention, forward and backward, beside causal softmax attention of the same width."""

LONGEST_SOFTMAX = 16_384
"""Beyond, a run of softmax attention takes many seconds, and its course is plain."""

MODELS = (
    Series("tokens a row", "trainer.sequence_length", (256, 512, 1024, 2048)),
    Series("experts", "scale.experts", (8, 32, 128)),
    Series("words", "scale.vocab_size", (4096, 16_384, 65_536)),
    Series("layers", "scale.layers", (3, 6, 12)),
)
"""A training step of one mixture of 8M active parameters, ours and transformers'."""

SERIES: Mapping[str, Series] = {series.title: series for series in (*MODELS, DELTA)}


def growth(folder: Path) -> list[Comparison]:
    """Every point of every series."""
    steps = [_training_step(folder, series, value) for series in MODELS for value in series.values]
    return steps + [_delta(tokens) for tokens in DELTA.values]


def _training_step(folder: Path, series: Series, value: int) -> Comparison:
    length = value if series.setting == "trainer.sequence_length" else 512
    overrides = [
        *contender(GROWN, LARGE),
        "scale.max_positions=2048",
        f"trainer.batch_size={TOKENS // length}",
        f"{series.setting}={value}",
    ]
    ours = {"overrides": overrides, "precision": "float32"}
    theirs = {**ours, "folder": exported_to(folder, GROWN, series.name(value).replace(":", "")), **EXPERTS}
    return Comparison(
        series.name(value),
        CaseSpec(OURS, "our_training", ours),
        [CaseSpec(series.other, "transformers_training", theirs)],
    )


def _delta(tokens: int) -> Comparison:
    softmax = {
        "size": "attention, causal, 4k tokens, as wide as delta",
        "path": None,
        "shapes": {"T": tokens},
    }
    others = [CaseSpec(SOFTMAX, "operator", softmax, warm_ups=0)] if tokens <= LONGEST_SOFTMAX else []
    delta = {"size": "Kimi delta, 4k tokens", "path": None, "shapes": {"T": tokens}}
    return Comparison(DELTA.name(tokens), CaseSpec(OURS, "operator", delta), others, against_machine=False)
