"""The process of one case: it builds, warms up, and times a round whenever it is asked to."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import torch

from lab.benchmark import machine
from lab.benchmark.case import Case
from lab.benchmark.decoding import our_decoding, transformers_decoding
from lab.benchmark.operators import matmul_case, operator_case
from lab.benchmark.optimizers import adamw_case, muon_case
from lab.benchmark.rivals import dense_attention_case
from lab.benchmark.training import our_training, transformers_training
from lab.kernels.registry import forget_paths_taken, paths_taken
from lab.trainer.device import keep_freed_memory

BUILDERS: dict[str, Callable[..., Case]] = {
    "our_training": our_training,
    "our_decoding": our_decoding,
    "matmul": matmul_case,
    "operator": operator_case,
    "muon": muon_case,
    "adamw": adamw_case,
    "dense_attention": dense_attention_case,
    "transformers_training": transformers_training,
    "transformers_decoding": transformers_decoding,
}

ROUND_SECONDS = 0.4
"""A round begins no further run once this much time has passed."""


def serve(connection: Connection, spec: Mapping[str, Any], threads: int, log: str) -> None:
    """Answer with what is known of the case, or why it failed, then with a round for every message.

    Memory counts from before the case is built, after the process has imported what either side needs; its peak is
    that of a run when everything is warm. Whatever is printed goes to the file ``log``.
    """
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    torch.set_num_threads(threads)
    keep_freed_memory()
    gc.collect()
    before = machine.resident_memory()
    try:
        case = BUILDERS[spec["builder"]](**spec["arguments"])
        forget_paths_taken()
        for _ in range(spec["warm_ups"]):
            case.run()
        machine.forget_peak_memory()
        case.run()
        paths = {operator: sorted(taken) for operator, taken in paths_taken().items()}
    except Exception as error:
        connection.send({"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]})
        return
    peak = machine.peak_memory() - before
    facts = {"flops": case.flops, "tokens": case.tokens, "peak_bytes": peak, "paths": paths, **case.facts}
    connection.send({"ready": facts})
    with suppress(EOFError):  # nobody asks any more
        while connection.recv():
            connection.send(one_round(case, spec["repeats"]))


def one_round(case: Case, repeats: int) -> dict[str, Any]:
    """Seconds of a run, and how many processors others used meanwhile.

    The middle of at most ``repeats`` runs; of fewer where they are long, so that long and short work cost alike. The
    fastest would flatter whatever is run more often.
    """
    started = machine.Effort.now()
    seconds: list[float] = []
    while len(seconds) < repeats and sum(seconds) < ROUND_SECONDS:
        before = time.perf_counter()
        case.run()
        seconds.append(time.perf_counter() - before)
    return {"seconds": statistics.median(seconds), "others": machine.Effort.now().taken_by_others(started)}
