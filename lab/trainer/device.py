"""What the trainer needs to know of the machine: arithmetic, peak speed, threads, memory."""

import ctypes
import ctypes.util
import sys
import time
from contextlib import AbstractContextManager
from typing import Any

import torch

from lab.kernels.bfloat16 import bfloat16_arithmetic

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

PEAK_FLOPS = {
    "A100": {"float32": 19.5e12, "bfloat16": 312e12},
    "H100": {"float32": 67e12, "bfloat16": 989e12},
    "H200": {"float32": 67e12, "bfloat16": 989e12},
    "B200": {"float32": 80e12, "bfloat16": 2250e12},
}
"""Dense peak in FLOP/s of the SXM cards, from NVIDIA's data sheets; never the figures with sparsity."""


def arithmetic(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """As :func:`autocast`, but bfloat16 in whichever unit of the processor is faster (:mod:`lab.kernels.bfloat16`)."""
    return bfloat16_arithmetic(device) if precision == "bfloat16" else autocast(device, precision)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Matrix products in ``precision`` within; weights and what the model keeps in float32 are untouched."""
    dtype = DTYPES[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)


def peak_flops(name: str, precision: str) -> float | None:
    """Dense peak FLOP/s of the processor called ``name``; None where unknown, as for every CPU."""
    known = [peaks[precision] for card, peaks in PEAK_FLOPS.items() if card in name]
    return known[0] if known else None


def measure_matmul_flops(device: torch.device, precision: str, side: int = 1024) -> float:
    """FLOP/s of a square product, best of three: what this machine reaches in practice, in about 0.1 s."""
    matrix = torch.ones(side, side, dtype=DTYPES[precision], device=device)
    best = float("inf")
    for _ in range(4):  # the first one warms up
        started = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def keep_freed_memory() -> None:
    """Have the C library keep large blocks instead of returning each to the system.

    Activations and gradients are freed and wanted again every step; glibc maps blocks above 32 MiB afresh
    each time and the system clears every page: a tenth of a CPU step and more. Where there is no glibc
    nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6")
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_threshold, never = -1, -3, 2**30
        library.mallopt(mmap_threshold, never)
        library.mallopt(trim_threshold, never)
