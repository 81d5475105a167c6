"""What happens in a job's own process: the run, its console in ``log.txt``, its failure in words."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lab.config import Config
from lab.errors import ConfigError
from lab.files import read_json
from lab.sweep.record import add_seconds, record_failure
from lab.trainer.stop import TrainingFailed


def run_job(config: Config) -> bool:
    """Run the job whose ``job.json`` lies in the folder ``<sweep>/<run>`` that ``config`` names; whether it went well.

    A failure is recorded in the run's folder and not raised, so that no launcher loses other jobs by it.
    """
    assert config.name is not None
    directory, sweep_name = Path(config.output) / config.name, config.name.rpartition("/")[0]
    entry = read_json(directory / "job.json")
    if entry is None:
        raise ConfigError(f"{directory} is no job of a sweep: -m needs hydra/sweeper=ablation.")
    (directory / "failure.txt").unlink(missing_ok=True)
    started = time.monotonic()
    with console_in(directory / "log.txt"):
        try:
            from lab import job  # torch, in a job's process only
            from lab.trainer.tracker import RunIdentity

            variant = entry["run"].removesuffix(f"-s{entry['seed']}")
            job.run(config, directory, RunIdentity(sweep_name, variant, entry["seed"]))
        except Exception as error:
            traceback.print_exc()
            told = isinstance(error, ConfigError | TrainingFailed)
            sentence = str(error) if told else f"{type(error).__name__}: {error}"
            record_failure(
                directory, sentence, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"
            )
            return False
        finally:
            add_seconds(directory, time.monotonic() - started)
    return True


@contextmanager
def console_in(path: Path) -> Iterator[None]:
    """Whatever this process prints, libraries included, goes to the end of a file while entered."""
    kept = [os.dup(1), os.dup(2)]
    with path.open("ab") as log:
        for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            os.dup2(log.fileno(), number)
    try:
        yield
    finally:
        for stream, descriptor, number in zip((sys.stdout, sys.stderr), kept, (1, 2), strict=True):
            stream.flush()
            os.dup2(descriptor, number)
            os.close(descriptor)


def work(config: Config, environment: dict[str, str], gpu: int | None) -> None:
    """A process of the ``cores`` launcher: one job, on one thread or on the GPU of that number."""
    _belong_to_parent(environment)
    if gpu is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
    sys.exit(0 if run_job(config) else 1)


def survey(
    configs: list[Config], metrics: list[str], build: bool, environment: dict[str, str], answer: Connection
) -> None:
    """Find out, in a process of its own, what the parent must know before the launch; sent to ``answer``.

    Either ``{"flops_per_second": ..., "gpus": ..., "code": ...}``, speed, number of GPUs and revision of a job
    at work here, or a sentence for the user. ``build``
    makes the corpora, which jobs then share, and checks ``metrics`` against them.
    """
    _belong_to_parent(environment)
    try:
        answer.send(_survey(configs, metrics, build))
    except ConfigError as error:
        answer.send(str(error))


def _survey(configs: list[Config], metrics: list[str], build: bool) -> dict[str, Any]:
    import torch

    from lab import job
    from lab.trainer.device import measure_matmul_flops
    from lab.trainer.environment import git_state

    first = configs[0]
    device = job.choose_device(first.device)
    torch.set_num_threads(first.trainer.threads or 1)
    if build:
        corpora = {str((config.data, config.tokenizer)): config for config in configs}
        for config in corpora.values():
            _check_metrics(metrics, config, job.prepare_corpus(config))
    return {
        "flops_per_second": measure_matmul_flops(device, first.trainer.precision),
        "gpus": torch.cuda.device_count() if device.type == "cuda" else 0,
        "code": git_state(Path(__file__).resolve().parent)["revision"],
    }


def _check_metrics(metrics: list[str], config: Config, corpus: Any) -> None:
    """Raise :class:`ConfigError` for a metric of a language or a probe that judging will not have."""
    from lab.data.recall import RecallTask
    from lab.evaluation.judge import build_probes

    known = {
        "bits_per_byte": [] if isinstance(corpus, RecallTask) else list(corpus.languages),
        "probes": [f"{probe.name}.accuracy" for probe in build_probes(corpus, config.evaluation)],
    }
    for metric in metrics:
        section, _, rest = metric.partition(".")
        if section in known and rest not in known[section]:
            there = ", ".join(f"{section}.{name}" for name in known[section]) or "none of the kind"
            raise ConfigError(f"ablation.metric={metric} will not be in results.json: there will be {there}.")


def _belong_to_parent(environment: dict[str, str]) -> None:
    """Take the parent's variables as they are now, leave Ctrl-C to it, and end when it is gone."""
    os.environ.update(environment)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
