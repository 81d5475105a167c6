"""Cases timed against each other: a process each, one at work at a time, in an order that rotates from round to round.

Alternating whole models inside one process was found to mislead: they share an allocator and its caches.

A round is dropped when it was disturbed: others kept more than :data:`DISTURBED` processors busy while one of its
cases ran. Where the system does not tell, no round is dropped, and the record says so.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from lab.benchmark.case import CaseSpec

DISTURBED = 0.15
"""Processors, on average over a case's round; the system's own housekeeping stays well below."""

EXTRA_ROUNDS = 2
"""Rounds are repeated for dropped ones until this many times the wanted number were run."""


class CaseFailed(RuntimeError):
    """A case could not be built or run; the message is the worker's."""


class Worker:
    """The running process of one case; leave it with ``with``."""

    def __init__(self, spec: CaseSpec, threads: int) -> None:
        self.spec = spec
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.facts: dict[str, Any] = self._ask({**asdict(spec), "threads": threads})["ready"]

    def round(self) -> dict[str, Any]:
        """One round: ``seconds`` and ``others``."""
        return self._ask({})

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            assert self._process.stderr is not None
            last = self._process.stderr.read().strip().splitlines()[-1:] or ["no message"]
            raise CaseFailed(f"{self.spec.label}: the process ended: {last[0]}")
        answer = json.loads(line)
        if "error" in answer:
            raise CaseFailed(f"{self.spec.label}: {answer['error']}")
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Timing:
    """Undisturbed rounds of several cases: ``seconds[label][i]`` is the time of a case in the i-th of them.

    ``failed`` gives the reason where a case could not be run.
    """

    facts: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, Sequence[float]]
    failed: Mapping[str, str]
    rounds_run: int
    load_known: bool

    @property
    def num_rounds(self) -> int:
        """Rounds that count."""
        return min((len(times) for times in self.seconds.values()), default=0)

    def median_seconds(self, label: str) -> float:
        """The middle time of a case."""
        return statistics.median(self.seconds[label])

    def ratios(self, label: str, of: str) -> list[float]:
        """How many times as long as ``of`` the case ``label`` took, round by round."""
        return [a / b for a, b in zip(self.seconds[label], self.seconds[of], strict=True)]

    def fastest(self, labels: Sequence[str]) -> str | None:
        """The label with the smallest median among those that ran."""
        ran = [label for label in labels if label in self.seconds]
        return min(ran, key=self.median_seconds) if ran and self.num_rounds else None


def time_cases(
    specs: Sequence[CaseSpec], rounds: int, threads: int, progress: Callable[[str], None]
) -> Timing:
    """Build every case in a process of its own and run rounds until ``rounds`` undisturbed ones are there.

    At most :data:`EXTRA_ROUNDS` times as many are run. A case that fails is left out and named.
    """
    with ExitStack() as stack:
        workers: list[Worker] = []
        failed = {}
        for spec in specs:
            progress(f"building {spec.label}")
            try:
                workers.append(stack.enter_context(Worker(spec, threads)))
            except CaseFailed as error:
                failed[spec.label] = str(error)
        seconds: dict[str, list[float]] = {worker.spec.label: [] for worker in workers}
        done, load_known = 0, True
        while workers and done < EXTRA_ROUNDS * rounds and len(seconds[workers[0].spec.label]) < rounds:
            first = done % len(workers)
            answers = {worker.spec.label: worker.round() for worker in workers[first:] + workers[:first]}
            done += 1
            shares = [answer["others"] for answer in answers.values()]
            load_known = load_known and None not in shares
            if all(share is None or share <= DISTURBED for share in shares):
                for label, answer in answers.items():
                    seconds[label].append(answer["seconds"])
            progress(f"round {done}: {len(seconds[workers[0].spec.label])} of {rounds} count")
        facts = {worker.spec.label: worker.facts for worker in workers}
    return Timing(facts, seconds, failed, done, load_known)
