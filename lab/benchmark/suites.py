"""What is compared with what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.benchmark.case import CaseSpec
from lab.benchmark.operators import SIZES
from lab.benchmark.twin import export
from lab.config import compose
from lab.kernels.registry import PATHS, kind_of

OURS = "lab"
MACHINE = "machine"

FAMILIES = ("llama", "k_exaone", "solar_open", "ax_k1", "ax_k2")
"""Contenders of which ``transformers`` has a class; our multi-token blocks are left out, as it has none."""

SMALL = (
    "scale.width=256",
    "scale.layers=6",
    "scale.vocab_size=16384",
    "scale.heads=8",
    "scale.kv_heads=2",
    "scale.head_dim=32",
    "scale.dense_width=768",
    "scale.experts=32",
    "scale.top_k=4",
    "scale.expert_width=128",
    "scale.window=128",
    "scale.query_rank=128",
    "scale.latent_rank=64",
    "scale.index_top_k=128",
    "trainer.sequence_length=512",
    "trainer.batch_size=8",
)
"""About 8M active parameters, of mixtures about 26M in all; 8 rows of 512 tokens."""

SCALES: Mapping[str, Sequence[str]] = {"8M active": SMALL, "nano": ()}

PRECISIONS = ("float32", "bfloat16")

PEERS: Mapping[str, Mapping[str, Any]] = {
    "transformers, grouped_mm": {"experts": "grouped_mm"},
    "transformers, eager experts": {"experts": "eager"},
    "transformers, grouped_mm, compiled": {"experts": "grouped_mm", "compiled": True},
}
"""Configurations of a mixture in transformers; ``batched_mm``, which copies weights for every token, is far slower."""

DENSE_PEERS: Mapping[str, Mapping[str, Any]] = {
    "transformers": {},
    "transformers, compiled": {"compiled": True},
}

PROMPT, NEW = 128, 64
BATCHES = (1, 16)


@dataclass(frozen=True)
class Comparison:
    """``ours`` against each of ``others`` and, for model FLOPs, against the machine's best product."""

    name: str
    ours: CaseSpec
    others: Sequence[CaseSpec]
    precision: str = "float32"

    def specs(self) -> list[CaseSpec]:
        """Every case to time."""
        limit = CaseSpec(MACHINE, "matmul", {"precision": self.precision})
        return [self.ours, *self.others, limit]


def contender(name: str, scale: str) -> list[str]:
    """The overrides of a family at one of :data:`SCALES`."""
    return [f"model={name}", "scale=nano", "model/multi_token=none", *SCALES[scale]]


def operators(folder: Path) -> list[Comparison]:
    """Every operator's chosen path against its other paths, the slow twin among them."""
    comparisons = []
    for size, (operator, _) in SIZES.items():
        for precision in PRECISIONS:
            specs = {
                path: CaseSpec(
                    path, "operator", {"size": size, "path": path, "precision": precision}, repeats=3
                )
                for path in PATHS[operator]
                if kind_of(path) != "triton"  # written for GPUs; this times the processor
            }
            ours = CaseSpec(OURS, "operator", {"size": size, "path": None, "precision": precision}, repeats=3)
            comparisons.append(Comparison(f"{size}, {precision}", ours, list(specs.values()), precision))
    return comparisons


def peers(folder: Path) -> list[Comparison]:
    """Training step and decoding of every family against each configuration of transformers."""
    return [
        comparison
        for scale in SCALES
        for family in FAMILIES
        for comparison in (
            *(_training(folder, family, scale, precision) for precision in PRECISIONS),
            *(_decoding(folder, family, scale, batch) for batch in BATCHES),
        )
    ]


def _training(folder: Path, family: str, scale: str, precision: str) -> Comparison:
    arguments = {"overrides": contender(family, scale), "precision": precision}
    return Comparison(
        f"{family}, {scale}, training step, {precision}",
        CaseSpec(OURS, "our_training", arguments),
        _in_transformers("transformers_training", arguments, family, exported_to(folder, family, scale)),
        precision,
    )


def _decoding(folder: Path, family: str, scale: str, batch: int) -> Comparison:
    arguments = {
        "overrides": contender(family, scale),
        "precision": "float32",
        "batch": batch,
        "prompt": PROMPT,
        "new": NEW,
    }
    return Comparison(
        f"{family}, {scale}, decoding, batch {batch}",
        CaseSpec(OURS, "our_decoding", arguments),
        _in_transformers("transformers_decoding", arguments, family, exported_to(folder, family, scale)),
    )


def _in_transformers(
    builder: str, arguments: Mapping[str, Any], family: str, exported: str
) -> list[CaseSpec]:
    """The same work in every configuration of transformers."""
    settings = DENSE_PEERS if family == "llama" else PEERS
    return [
        CaseSpec(label, builder, {**arguments, "folder": exported, **chosen})
        for label, chosen in settings.items()
    ]


GROWTH: Mapping[str, tuple[str, Sequence[int]]] = {
    "tokens a row": ("trainer.sequence_length", (256, 512, 1024, 2048)),
    "experts": ("scale.experts", (8, 16, 32, 64)),
    "words": ("scale.vocab_size", (4096, 16_384, 65_536)),
    "layers": ("scale.layers", (3, 6, 12)),
}
"""What grows -> the setting and its values; the number of tokens a step stays what it is at 8M active."""

GROWN = "k_exaone"


def growth(folder: Path) -> list[Comparison]:
    """A training step of one mixture as one of its sizes grows, ours and transformers'."""
    comparisons = []
    for what, (setting, values) in GROWTH.items():
        for value in values:
            overrides = [*contender(GROWN, "8M active"), f"{setting}={value}"]
            if setting == "trainer.sequence_length":
                overrides += [f"trainer.batch_size={8 * 512 // value}", "scale.max_positions=2048"]
            exported = exported_to(folder, GROWN, f"{what} {value}")
            common = {"overrides": overrides, "precision": "float32"}
            other = {**common, "folder": exported, **PEERS["transformers, grouped_mm"]}
            comparisons.append(
                Comparison(
                    f"{what} {value}",
                    CaseSpec(OURS, "our_training", common),
                    [CaseSpec("transformers, grouped_mm", "transformers_training", other)],
                )
            )
    return comparisons


def exported_to(folder: Path, family: str, scale: str) -> str:
    """The folder with the weights of a contender for transformers; written when a comparison first runs."""
    return str(folder / "weights" / f"{family}-{scale}".replace(" ", "-"))


def write_weights(comparison: Comparison) -> None:
    """Export the weights that the cases of a comparison read, unless they are there."""
    for spec in comparison.others:
        if "folder" in spec.arguments and not Path(spec.arguments["folder"], "config.json").exists():
            path = Path(spec.arguments["folder"])
            path.mkdir(parents=True, exist_ok=True)
            export(compose(spec.arguments["overrides"]), path)


COMPARISONS: Mapping[str, Callable[[Path], list[Comparison]]] = {
    "operators": operators,
    "peers": peers,
    "growth": growth,
}
