"""What is compared with what."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lab.benchmark.case import OURS, CaseSpec, Comparison
from lab.benchmark.growth import growth
from lab.benchmark.operators import SIZES
from lab.benchmark.optimizers import optimizers
from lab.benchmark.peers import PRECISIONS, peers
from lab.benchmark.rivals import MASKS
from lab.kernels.registry import PATHS, kind_of

DECODING = "decoding"
"""What the names of sizes of a decoding step have in them."""

LARGE_VOCABULARY = "cross-entropy, 200k words"
WINDOWS = ("attention, window 128, 2k tokens", "attention, window 128, 8k tokens")
LONG_DELTA = "Kimi delta, 4k tokens"
SOFTMAX = "attention, causal, 4k tokens, as wide as delta"
BY_ITSELF = (LARGE_VOCABULARY, *WINDOWS, LONG_DELTA, SOFTMAX)
"""Sizes that are compared with something in particular, in float32."""


def operators(folder: Path) -> list[Comparison]:
    """Every operator's chosen path against its other paths, the slow twin among them."""
    return [
        _paths(size, precision) for size in SIZES if size not in BY_ITSELF for precision in PRECISIONS
    ] + _particular()


def _paths(size: str, precision: str) -> Comparison:
    common = {"size": size, "precision": precision}
    paths = [path for path in PATHS[SIZES[size][0]] if kind_of(path) != "triton"]  # those are for GPUs
    if DECODING not in size:
        paths = [path for path in paths if path != "few_rows"]  # those are without gradients
    return Comparison(
        f"{size}, {precision}",
        CaseSpec(OURS, "operator", {**common, "path": None}),
        [_path(path, common) for path in paths],
        precision,
    )


def _path(path: str, common: Mapping[str, str]) -> CaseSpec:
    return CaseSpec(path, "operator", {**common, "path": path}, warm_ups=int(kind_of(path) != "naive"))


def against(what: str) -> str:
    """The name of delta attention's comparison with ``what``: its twin or softmax."""
    return f"{LONG_DELTA}, against {what}"


def _particular() -> list[Comparison]:
    """What single operators are held to: a plain loss, dense attention with a mask, the recurrence, softmax."""

    def ours(size: str) -> CaseSpec:
        return CaseSpec(OURS, "operator", {"size": size, "path": None})

    def windowed(size: str) -> Comparison:
        shapes = SIZES[size][1]
        dense = {
            f"SDPA, {mask} mask": CaseSpec(
                f"SDPA, {mask} mask", "dense_attention", {**shapes, "mask": mask}, warm_ups=0
            )
            for mask in MASKS
            if mask != "none"
        }
        return Comparison(size, ours(size), [*dense.values(), _path("naive", {"size": size})])

    def windowless(size: str) -> Comparison:
        label = "SDPA, causal, no window"
        dense = CaseSpec(label, "dense_attention", {**SIZES[size][1], "mask": "none"}, warm_ups=0)
        return Comparison(f"{size}, against no window", ours(size), [dense])

    recurrent = _path("naive", {"size": LONG_DELTA})
    softmax = CaseSpec("softmax attention", "operator", {"size": SOFTMAX, "path": None})
    return [
        Comparison(LARGE_VOCABULARY, ours(LARGE_VOCABULARY), [_path("naive", {"size": LARGE_VOCABULARY})]),
        *(windowed(size) for size in WINDOWS),
        *(windowless(size) for size in WINDOWS),
        Comparison(against("its recurrence"), ours(LONG_DELTA), [recurrent]),
        Comparison(against("softmax attention"), ours(LONG_DELTA), [softmax]),
    ]


COMPARISONS: Mapping[str, Callable[[Path], list[Comparison]]] = {
    "operators": operators,
    "optimizers": optimizers,
    "peers": peers,
    "growth": growth,
}
