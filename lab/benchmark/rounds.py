"""Cases timed against each other: a process each, one at work at a time, in an order that rotates from round to round.

Alternating whole models inside one process was found to mislead: they share an allocator and its caches.

A round is dropped when it was disturbed: others kept more than :data:`DISTURBED` processors busy while one of its
cases ran. Where the system does not tell, no round is dropped, and the record says so.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from lab.benchmark.case import MACHINE, OURS, CaseSpec
from lab.benchmark.process import CaseFailed, Worker

DISTURBED = 0.15
"""Processors, on average over a case's round; the system's own housekeeping stays well below."""

EXTRA_ROUNDS = 2
"""Rounds are repeated for dropped ones until this many times the wanted number were run."""

LEFT_BEHIND = 1.5
"""An alternative that took this many times as long as the fastest one in the first round takes part in no other."""

ENOUGH, STEADY = 3, 0.05
"""After so many rounds that count no more are run if all their ratios lie within this share of the middle one."""


@dataclass(frozen=True)
class Timing:
    """Undisturbed rounds of several cases: ``seconds[label][i]`` is the time of a case in the i-th of them.

    ``failed`` gives the reason where a case could not be run, ``left_behind`` the time in the first of the rounds of an
    alternative that was so slow that it took part in no other.
    """

    facts: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, Sequence[float]]
    failed: Mapping[str, str]
    rounds_run: int
    load_known: bool
    left_behind: Mapping[str, float] = field(default_factory=dict)

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

    Fewer are enough where they agree (:data:`ENOUGH`); at most :data:`EXTRA_ROUNDS` times as many are run. A case that
    fails, while it is built or later, is left out and named.
    """
    seconds: dict[str, list[float]] = {}
    left_behind: dict[str, float] = {}
    with ExitStack() as stack:
        workers, failed = _built(specs, threads, stack, progress)
        workers = _without_doubles(workers)
        facts = {worker.spec.label: worker.facts for worker in workers}
        done, counted, load_known = 0, 0, True
        while workers and done < EXTRA_ROUNDS * rounds and counted < rounds and not _steady(seconds):
            first = done % len(workers)
            answers = _round(workers[first:] + workers[:first], failed)
            done += 1
            workers = [worker for worker in workers if worker.spec.label not in failed]
            seconds = {label: times for label, times in seconds.items() if label not in failed}
            shares = [answer["others"] for answer in answers.values()]
            load_known = load_known and None not in shares
            if all(share is None or share <= DISTURBED for share in shares):
                counted += 1
                for label, answer in answers.items():
                    seconds.setdefault(label, []).append(answer["seconds"])
                if counted == 1:
                    left_behind = _slow(seconds)
                    seconds = {label: times for label, times in seconds.items() if label not in left_behind}
                    workers = [worker for worker in workers if worker.spec.label in seconds]
            progress(f"round {done}: {counted} of {rounds} count")
    return Timing(facts, seconds, failed, done, load_known, left_behind)


def _built(
    specs: Sequence[CaseSpec], threads: int, stack: ExitStack, progress: Callable[[str], None]
) -> tuple[list[Worker], dict[str, str]]:
    """A worker a case, built side by side where that disturbs nothing, and the reasons of those that failed."""
    workers, failed = [], {}
    together = [spec for spec in specs if not spec.measures]
    for batch in (together, *([spec] for spec in specs if spec.measures)):
        started = [stack.enter_context(Worker(spec, threads)) for spec in batch]
        for worker in started:
            progress(f"building {worker.spec.label}")
            try:
                worker.wait_until_ready()
                workers.append(worker)
            except CaseFailed as error:
                failed[worker.spec.label] = str(error)
    return workers, failed


def _without_doubles(workers: Sequence[Worker]) -> list[Worker]:
    """``workers`` without alternatives that take the very paths that our operators chose: the same thing twice."""
    taken = [worker.facts.get("paths") for worker in workers if worker.spec.label == OURS]
    return [
        worker
        for worker in workers
        if worker.spec.label == OURS or not taken or not taken[0] or worker.facts.get("paths") != taken[0]
    ]


def _round(workers: Sequence[Worker], failed: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every worker's answer, one after the other; one that fails now is put into ``failed``."""
    answers = {}
    for worker in workers:
        try:
            answers[worker.spec.label] = worker.round()
        except CaseFailed as error:
            failed[worker.spec.label] = str(error)
    return answers


def _slow(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The first round's times of the alternatives that it leaves behind."""
    first = {label: times[0] for label, times in seconds.items() if label not in (OURS, MACHINE)}
    fastest = min(first.values(), default=0.0)
    return {label: time for label, time in first.items() if time > LEFT_BEHIND * fastest}


def _steady(seconds: Mapping[str, Sequence[float]]) -> bool:
    """Whether the ratios of ours to each alternative agree well enough over enough rounds."""
    ours = seconds.get(OURS, [])
    if len(ours) < ENOUGH:
        return False
    for label, times in seconds.items():
        ratios = [time / own for time, own in zip(times, ours, strict=True)]
        middle = statistics.median(ratios)
        if label not in (OURS, MACHINE) and any(abs(ratio / middle - 1) > STEADY for ratio in ratios):
            return False
    return True
