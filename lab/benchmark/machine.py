"""What the machine does beside a measurement, and the best it can do in one."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from lab.trainer.device import DTYPES

STAT = Path("/proc/stat")
CLEAR_REFS = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")

PEAK_SHAPES = ((1024, 1024, 1024), (4096, 256, 768), (4096, 768, 256), (256, 4096, 768))
"""Products ``[m, k] x [k, n]`` among which the best rate is looked for: a square one and those of a training step."""

COPIED_BYTES = 2**28


@dataclass(frozen=True)
class Effort:
    """CPU seconds used so far by this process and, where the system tells, by the whole machine."""

    wall: float
    own: float
    machine: float | None

    @classmethod
    def now(cls) -> "Effort":
        times = os.times()
        return cls(time.perf_counter(), times.user + times.system, _machine_seconds())

    def taken_by_others(self, before: "Effort") -> float | None:
        """Processors that other processes (or other guests of the host) kept busy since ``before``, on average."""
        if self.machine is None or before.machine is None:
            return None
        others = (self.machine - before.machine) - (self.own - before.own)
        return max(0.0, others) / max(self.wall - before.wall, 1e-9)


def _machine_seconds() -> float | None:
    """User, nice, system, interrupt and stolen seconds of all processors since the start; None outside Linux."""
    if not STAT.exists():
        return None
    fields = [int(word) for word in STAT.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def forget_peak_memory() -> None:
    """Let the peak of :func:`peak_memory` begin at what is resident now; without effect outside Linux."""
    if CLEAR_REFS.exists():
        CLEAR_REFS.write_text("5", encoding="ascii")


def resident_memory() -> int:
    """Bytes resident now; 0 outside Linux."""
    return _status_bytes("VmRSS")


def peak_memory() -> int:
    """Most bytes that were resident since :func:`forget_peak_memory`; 0 outside Linux."""
    return _status_bytes("VmHWM")


def _status_bytes(key: str) -> int:
    if not STATUS.exists():
        return 0
    lines = STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), 0)


def fastest_shape(precision: str) -> tuple[int, int, int]:
    """The one of :data:`PEAK_SHAPES` with the highest rate, each the best of five, in about a second."""
    dtype = DTYPES[precision]
    rates = {}
    for m, k, n in PEAK_SHAPES:
        a, b = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
        torch.mm(a, b.T)
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            torch.mm(a, b.T)
            seconds.append(time.perf_counter() - started)
        rates[m, k, n] = m * k * n / min(seconds)
    return max(rates, key=rates.__getitem__)


def memory_bandwidth() -> float:
    """Bytes a second of a large copy, read and written bytes counted, the best of five."""
    source = torch.zeros(COPIED_BYTES // 4)
    target = torch.empty_like(source)
    target.copy_(source)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        target.copy_(source)
        best = max(best, 2 * COPIED_BYTES / (time.perf_counter() - started))
    return best
