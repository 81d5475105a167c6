"""One checkpoint evaluated in a folder of its own: held-out text, questions, figures, comparison, tracker."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.config import Config, compose, plain
from lab.data.config import DataConfig
from lab.data.corpus import Corpus, prepare
from lab.data.storage import key_of
from lab.errors import ConfigError
from lab.evaluation.config import SuiteConfig
from lab.evaluation.subject import UNKNOWN_LENGTH, Subject
from lab.evaluation.suite import Suite, Watch, compare_tasks, make_suite, run_suite
from lab.evaluation.tasks.export import GROUP, export_tasks
from lab.evaluation.tasks.pins import PINS, pins_of
from lab.face import is_run, load_config, load_tokenizer, load_with_tokenizer, open_checkpoint
from lab.files import digest, read_json, write_json
from lab.job import cache_directory, choose_device
from lab.model.checkpoint.family import FAMILIES
from lab.model.checkpoint.hub_config import HubConfig
from lab.model.checkpoint.shards import read_json as read_shard_json
from lab.model.checkpoint.writer import OUR_CONFIG
from lab.model.decoder import Decoder, initialise
from lab.trainer.checkpoint import newest_checkpoint
from lab.trainer.config import TrackerConfig
from lab.trainer.run import RunFolder
from lab.trainer.tracker import RunIdentity, tracking

UNTRAINED = "untrained"
WEIGHTS = ("*.safetensors", "*.json", "*.yaml", "*.model", "*.bin", "*.txt")
"""Files of a checkpoint that its figures depend on."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a subject is to be had, before its weights are read; ``run`` is the configuration of a run folder."""

    directory: Path
    digest: str
    run: Config | None

    @property
    def name(self) -> str:
        """The folder's name and the beginning of the digest: what the results are kept under."""
        return f"{self.directory.resolve().name}-{self.digest[:8]}"


def find(directory: str) -> Place:
    """The checkpoint in ``directory``; raises :class:`ConfigError` where there is none."""
    folder = Path(directory)
    known = ("config.yaml", "config.json", OUR_CONFIG)
    if not any((folder / name).is_file() for name in known):
        raise ConfigError(
            f"checkpoint={directory} is not a checkpoint: it must be a folder with {', '.join(known)}."
        )
    weights, run = folder, None
    if is_run(folder):
        run = load_config(folder)
        weights = newest_checkpoint(folder) or weights
        if weights == folder:
            open_checkpoint(folder)  # tells why there is none
    files = sorted({path for pattern in WEIGHTS for path in weights.glob(pattern) if path.is_file()})
    return Place(folder, key_of([[path.name, digest(path)] for path in files]), run)


def open_subject(place: Place, device: str) -> Subject:
    """The model and tokenizer of ``place``: ours where the format is one of the families', else by transformers."""
    folder = place.directory
    target = choose_device(device)
    if place.run is None and not (folder / OUR_CONFIG).is_file() and not _is_of_a_family(folder):
        from lab.evaluation.transformers_model import open_transformers

        foreign, tokenizer, positions = open_transformers(folder)
        return Subject(
            place.name, place.digest, foreign.to(target), tokenizer, min(UNKNOWN_LENGTH, positions), positions
        )
    model, own = load_with_tokenizer(folder)
    return _of_decoder(place, place.digest, model.to(target), own)


def open_untrained(place: Place, device: str, seed: int = 0) -> Subject:
    """The model of ``place`` before training: weights drawn from ``seed``, the same tokenizer."""
    if place.run is None and not _is_of_a_family(place.directory):
        raise ConfigError(
            f"baseline={UNTRAINED} cannot be used with checkpoint={place.directory}: it must be a model of our own "
            "families; name another checkpoint."
        )
    model = initialise(Decoder(open_checkpoint(place.directory).config), seed=seed)
    tokenizer = load_tokenizer(place.directory)
    drawn = f"{UNTRAINED}{seed or ''}"
    return _of_decoder(place, f"{drawn}-{place.digest}", model.to(choose_device(device)), tokenizer)


def _of_decoder(place: Place, name: str, model: Decoder, tokenizer: Any) -> Subject:
    positions = model.config.max_positions
    length = place.run.trainer.sequence_length if place.run else min(UNKNOWN_LENGTH, positions)
    results = read_json(place.directory / "results.json") if place.run else None
    tokens = results["training"]["tokens"] if results else None
    return Subject(place.name, name, model, tokenizer, length, positions, tokens)


def _is_of_a_family(folder: Path) -> bool:
    path = folder / "config.json"
    if not path.is_file():
        return (folder / OUR_CONFIG).is_file()
    hub = HubConfig(read_shard_json(path), str(path))
    return any(family.matches(hub) for family in FAMILIES)


def held_out_text(
    run: Config | None, data: DataConfig | None, progress: Callable[[str], None] = print
) -> Corpus:
    """The corpus to ask from: the one ``run`` was trained on, or ``data``, or the packages where neither is given.

    Raises :class:`ConfigError` where ``data`` is not what ``run`` was trained on: what is held out of one
    corpus may be trained on in another.
    """
    if run is not None:
        if data is not None and _texts_of(data) != _texts_of(run.data):
            raise ConfigError(
                f"data={data.kind} cannot be used: the run was trained beside data={run.data.kind} with other "
                "settings, so that only that text is known to be held out; leave data away."
            )
        return prepare(run.data, run.tokenizer, cache_directory(), progress)
    default = compose()
    return prepare(data or default.data, default.tokenizer, cache_directory(), progress)


def _texts_of(data: DataConfig) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(data).items() if key != "mixture"}


@dataclasses.dataclass(frozen=True)
class Job:
    """One call of the command. ``control`` further untrained models are held against the untrained baseline."""

    checkpoint: str
    baseline: str | None
    control: int
    data: DataConfig | None
    evaluation: SuiteConfig
    tracker: TrackerConfig
    device: str
    output: Path
    name: str | None
    fresh: bool


def evaluate(job: Job, watch: Watch, progress: Callable[[str], None] = print) -> tuple[Path, dict[str, Any]]:
    """Measure what ``job`` asks for; returns the folder and what its ``results.json`` says.

    Every part is written when it is done, and a second call goes on where the first was interrupted.
    """
    place = find(job.checkpoint)
    other = None if job.baseline in (None, UNTRAINED) else find(str(job.baseline))
    corpus = held_out_text(place.run, job.data, progress)
    suite = make_suite(corpus, job.evaluation)
    device = choose_device(job.device)
    folder = job.output / (job.name or place.name)
    settings = {
        "checkpoint": str(place.directory),
        "digest": place.digest,
        "evaluation": plain(job.evaluation),
    }
    identity = RunIdentity("evaluation", job.name or place.name, job.evaluation.seed, "eval")
    with (
        RunFolder.open(folder, settings, device, job.fresh) as run,
        tracking(job.tracker, run, identity, settings) as tracker,
    ):
        subject = open_subject(place, job.device)
        found = run_suite(suite, subject, job.evaluation, folder / "parts", watch)
        results: dict[str, Any] = settings | {
            "trained_length": subject.trained_length,
            "trained_tokens": subject.trained_tokens,
            "texts": corpus.texts.name,
            "missing_tasks": list(suite.missing),
            **found,
        }
        if job.baseline is not None:
            base = open_untrained(place, job.device) if other is None else open_subject(other, job.device)
            against = run_suite(
                suite, base, job.evaluation, folder / f"baseline-{key_of(base.digest)[:8]}", watch
            )
            results["baseline"] = {"checkpoint": job.baseline, "digest": base.digest, **against}
            results["comparison"] = compare_tasks(found["tasks"], against["tasks"], job.evaluation.seed)
            results["control"] = [
                compare_tasks(
                    _tasks_of(open_untrained(place, job.device, seed), suite, job.evaluation, folder, watch),
                    against["tasks"],
                    job.evaluation.seed,
                )
                for seed in range(1, job.control + 1)
            ]
        write_json(folder / "results.json", results)
        tracker.log({"tokens": subject.trained_tokens or 0, **headline(results)})
        tracker.artifact(f"{run.directory.name}-evaluation", "results", folder / "results.json", {})
    return folder, results


def _tasks_of(
    subject: Subject, suite: Suite, evaluation: SuiteConfig, folder: Path, watch: Watch
) -> dict[str, Any]:
    """The figures of ``subject`` in the tasks alone."""
    tasks = dataclasses.replace(suite, documents={})
    return run_suite(tasks, subject, evaluation, folder / f"control-{key_of(subject.digest)[:8]}", watch)[
        "tasks"
    ]


def export(
    checkpoint: str | None,
    data: DataConfig | None,
    evaluation: SuiteConfig,
    target: Path,
    progress: Callable[[str], None] = print,
) -> None:
    """Write the tasks that :func:`evaluate` would ask of ``checkpoint`` for the LM Evaluation Harness."""
    run = find(checkpoint).run if checkpoint is not None else None
    tasks = make_suite(held_out_text(run, data, progress), evaluation).tasks
    export_tasks(tasks, target)
    command = f"python -m experiments.harness run --include_path {target} --tasks {GROUP} --model lab"
    progress(f"{len(tasks)} tasks; to run them: {command} --model_args checkpoint=...")


def pin(evaluation: SuiteConfig, progress: Callable[[str], None] = print) -> None:
    """Write down the items that the default corpus gives each task."""
    write_json(PINS, pins_of(make_suite(held_out_text(None, None, progress), evaluation).tasks))


def headline(results: dict[str, Any]) -> dict[str, float]:
    """The figures that a tracker shows, under slash names."""
    figures = {
        f"eval/bits_per_byte/{kind}": bits["bits_per_byte"] for kind, bits in results["bits_per_byte"].items()
    }
    return figures | {f"eval/{name}/accuracy": task["accuracy"] for name, task in results["tasks"].items()}
