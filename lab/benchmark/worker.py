"""The process of one case: ``python -m lab.benchmark.worker``, one JSON object a line in and out.

The first line is the case's specification and the number of threads; each further line asks for one round.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from lab.benchmark import machine
from lab.benchmark.case import Case
from lab.benchmark.decoding import our_decoding, transformers_decoding
from lab.benchmark.operators import matmul_case, operator_case
from lab.benchmark.training import our_training, transformers_training
from lab.kernels.registry import forget_paths_taken, paths_taken
from lab.trainer.device import keep_freed_memory

BUILDERS: dict[str, Callable[..., Case]] = {
    "our_training": our_training,
    "our_decoding": our_decoding,
    "matmul": matmul_case,
    "operator": operator_case,
    "transformers_training": transformers_training,
    "transformers_decoding": transformers_decoding,
}


def main() -> None:
    """Build, warm up, then time rounds until the input ends."""
    channel = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints must not disturb the protocol

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=channel, flush=True)

    spec = json.loads(sys.stdin.readline())
    torch.set_num_threads(spec["threads"])
    keep_freed_memory()
    before = machine.resident_memory()
    try:
        case = BUILDERS[spec["builder"]](**spec["arguments"])
        forget_paths_taken()
        machine.forget_peak_memory()
        case.run()
        paths = {operator: sorted(taken) for operator, taken in paths_taken().items()}
        case.run()
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]})
        return
    peak = machine.peak_memory() - before
    facts = {"flops": case.flops, "tokens": case.tokens, "peak_bytes": peak, "paths": paths, **case.facts}
    answer({"ready": facts})
    for _ in sys.stdin:
        answer(one_round(case, spec["repeats"]))


def one_round(case: Case, repeats: int) -> dict[str, Any]:
    """Seconds of the fastest of ``repeats`` runs, and how many processors others used meanwhile."""
    started = machine.Effort.now()
    seconds = []
    for _ in range(repeats):
        before = time.perf_counter()
        case.run()
        seconds.append(time.perf_counter() - before)
    return {"seconds": min(seconds), "others": machine.Effort.now().taken_by_others(started)}


if __name__ == "__main__":
    main()
