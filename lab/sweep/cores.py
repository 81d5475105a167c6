"""The ``cores`` launcher: a fresh process a job, as many at once as there are cores, each on one thread."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from lab.config import Config
from lab.errors import ConfigError
from lab.sweep.jobs import Job
from lab.sweep.record import record_failure
from lab.sweep.worker import survey, work
from lab.trainer.stop import StopSignals

SECONDS_TO_STOP = 60.0
"""How long an interrupted job may take to finish its step and write a checkpoint."""

SECONDS_BETWEEN_LOOKS = 0.5

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
"""Read when torch is loaded, hence set before; a job that asks for more threads sets them itself."""


class SweepInterrupted(SystemExit):
    """A signal ended the sweep; left alone, the process exits with the status 128 + signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(128 + signal_number)
        name = signal.Signals(signal_number).name
        self.sentence = f"Interrupted by {name}: the same command goes on from the last checkpoints."


def cores_here() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_on_cores(
    jobs: Sequence[Job],
    at_once: int,
    gpus: int,
    on_start: Callable[[Job], None],
    on_end: Callable[[Job, float], None],
    on_look: Callable[[], None],
) -> None:
    """Run every job in a process of its own, ``at_once`` at a time; a failure is recorded and others go on.

    ``on_end`` is told the seconds a job took in this process. Raises :class:`SweepInterrupted` after SIGINT or
    SIGTERM, when the running jobs have written a checkpoint.
    """
    waiting = deque(jobs)
    slots = list(range(at_once))
    running: dict[Any, tuple[Job, ForkServerProcess, int, float]] = {}
    context = _forkserver()
    with StopSignals() as signals:
        try:
            while waiting or running:
                while waiting and slots:
                    job, slot = waiting.popleft(), slots.pop()
                    on_start(job)
                    gpu = slot % gpus if gpus else None
                    given = (job.config, dict(os.environ), gpu)
                    process = context.Process(target=work, args=given, name=job.run)
                    process.start()
                    running[process.sentinel] = (job, process, slot, time.monotonic())
                for sentinel in connection.wait(list(running), SECONDS_BETWEEN_LOOKS):
                    job, process, slot, started = running.pop(sentinel)
                    process.join()
                    if signals.caught is None:  # else the signal was for the job as well
                        _record_death(job, process.exitcode)
                    slots.append(slot)
                    on_end(job, time.monotonic() - started)
                on_look()
                if signals.caught is not None:
                    raise SweepInterrupted(signals.caught)
        finally:
            _stop([process for _, process, _, _ in running.values()])


def survey_here(configs: list[Config], metrics: list[str], build: bool) -> dict[str, Any]:
    """What :func:`lab.sweep.worker.survey` finds; raises its sentence as :class:`ConfigError`."""
    context = _forkserver()
    receiver, sender = context.Pipe(duplex=False)
    given = (configs, metrics, build, dict(os.environ), sender)
    process = context.Process(target=survey, args=given, name="survey")
    process.start()
    sender.close()
    try:
        found: dict[str, Any] | str = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the survey before the launch ended with status {process.exitcode}") from None
    finally:
        _stop([process])
    if isinstance(found, str):
        raise ConfigError(found)
    return found


def _forkserver() -> multiprocessing.context.ForkServerContext:
    """Processes begin as copies of one that has loaded torch and our code, on one thread, and done nothing else.

    Whatever is edited while a sweep runs, its jobs run what was there when it began.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lab.job", "lab.sweep.worker"])
    repository = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH")]))
    with _variables({**ONE_THREAD, "PYTHONPATH": path}):
        forkserver.ensure_running()
    return context


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, set while entered."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _record_death(job: Job, exitcode: int | None) -> None:
    """Write down a death that the job could not write down itself: by a signal, or by the system."""
    if exitcode in (0, 1):
        return
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        sentence = f"The process was ended by {name}{hint}."
    else:
        sentence = f"The process ended with status {exitcode}."
    record_failure(job.directory, sentence, f"{sentence}\n")


def _stop(processes: Sequence[ForkServerProcess]) -> None:
    """Ask for a checkpoint, wait a while, then end what is left."""
    try:
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
    finally:
        for process in processes:
            process.kill()
            process.join()
