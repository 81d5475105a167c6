"""Processes for cases, each forked from one that has imported everything and done nothing else.

So a case begins with fresh threads, a fresh allocator and no second model beside it, without importing torch and
transformers a few hundred times over; and what a process holds before it builds is the same on both sides.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from lab.benchmark.case import CaseSpec
from lab.files import cache_directory

IMPORTED = ("lab.benchmark.worker", "torch._inductor.compile_fx", "transformers.generation.utils")
"""What the process has imported that all others are forked from; what is not installed is left out."""

FORKING = "forkserver"
SECONDS_TO_BUILD, SECONDS_TO_END = 200, 5
"""What a case may take to be built and warm, compilation included, and to end once nobody needs it."""


class CaseFailed(RuntimeError):
    """A case could not be built or run; the message is the worker's."""


class Worker:
    """The running process of one case, which begins to build at once; leave it with ``with``."""

    def __init__(self, spec: CaseSpec, threads: int) -> None:
        from lab.benchmark.worker import serve

        self.spec = spec
        handle, name = tempfile.mkstemp(prefix="benchmark-", suffix=".log")
        os.close(handle)
        self._log = Path(name)
        self._connection, theirs = multiprocessing.Pipe()
        # daemonic: it ends with this process, whatever ends that
        self._process = forking(threads).Process(  # type: ignore[attr-defined]
            target=serve, args=(theirs, asdict(spec), threads, name), daemon=True
        )
        self._process.start()
        theirs.close()
        self.facts: dict[str, Any] = {}

    def wait_until_ready(self) -> None:
        """Wait for the case to be built and warm, and take its ``facts``. Raises :class:`CaseFailed`."""
        if not self._connection.poll(SECONDS_TO_BUILD):
            raise CaseFailed(f"{self.spec.label}: it was not ready after {SECONDS_TO_BUILD} seconds")
        self.facts = self._answer()["ready"]

    def round(self) -> dict[str, Any]:
        """One round: ``seconds`` and ``others``."""
        self._connection.send(True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._connection.recv()
        except (EOFError, ConnectionError):
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = said[-1] if said else "no message"
            raise CaseFailed(f"{self.spec.label}: the process ended: {last}") from None
        if "error" in answer:
            raise CaseFailed(f"{self.spec.label}: {answer['error']}")
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(SECONDS_TO_END)
        self._process.kill()  # where it is still building
        self._process.join()
        self._log.unlink(missing_ok=True)


@cache
def forking(threads: int) -> BaseContext:
    """The way processes are started, with the one they are forked from running; spawned where there is no fork."""
    if FORKING not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(FORKING)
    context.set_forkserver_preload(list(IMPORTED))
    settings = {
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "TORCHINDUCTOR_CACHE_DIR": str(cache_directory() / "compiled"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compilers beside a measurement
    }
    with _environment(settings):
        forkserver.ensure_running()
    return context


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
