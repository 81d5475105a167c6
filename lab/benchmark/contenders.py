"""The models that are timed, at which sizes, and where transformers finds their weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.benchmark.case import Comparison
from lab.benchmark.twin import export
from lab.config import compose

FAMILIES = ("k_exaone", "solar_open", "ax_k1", "ax_k2")
"""Contenders of which ``transformers`` has a class; our multi-token blocks are left out, as it has none."""

DENSE = "llama"
"""The dense baseline, which has no experts to choose an implementation for."""

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

LARGE, NANO = "8M active", "nano"
SCALES: Mapping[str, Sequence[str]] = {LARGE: SMALL, NANO: ()}


def contender(name: str, scale: str) -> list[str]:
    """The overrides of a family at one of :data:`SCALES`."""
    return [f"model={name}", "scale=nano", "model/multi_token=none", *SCALES[scale]]


def exported_to(folder: Path, name: str, size: str) -> str:
    """The folder with the weights of a contender for transformers; written when a comparison first runs."""
    return str(folder / "weights" / f"{name}-{size}".replace(" ", "-"))


def write_weights(comparison: Comparison) -> None:
    """Export the weights that the cases of a comparison read, unless they are there."""
    for spec in comparison.others:
        if "folder" in spec.arguments and not Path(spec.arguments["folder"], "config.json").exists():
            path = Path(spec.arguments["folder"])
            path.mkdir(parents=True, exist_ok=True)
            export(compose(spec.arguments["overrides"]), path)
