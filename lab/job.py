"""One run from one configuration: corpus, model, training, judging, and the folder that records them."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lab.config import Config, plain, size
from lab.data.training import TrainingData, open_loader, prepare_training_data
from lab.errors import ConfigError
from lab.evaluation.judge import build_probes, judge
from lab.files import cache_directory, read_json
from lab.kernels.compilation import usable
from lab.kernels.registry import forget_paths_taken, lacks_preferred, paths_taken, prefer, preferred
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.model.size import Size
from lab.model.size import size as size_of_model
from lab.trainer.callbacks import Callback, Checkpoints, MetricsLog, StatusFile, TrackerLog
from lab.trainer.console import ConsoleProgress
from lab.trainer.loop import Outcome, train
from lab.trainer.optimizer import build_optimizer
from lab.trainer.plan import make_plan
from lab.trainer.run import RunFolder
from lab.trainer.schedule import Schedule
from lab.trainer.tracker import RunIdentity, tracking


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is a GPU where there is one. Raises :class:`ConfigError` if it is absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device={name} cannot be used here: it can be auto, cpu or a present cuda device."
        ) from error
    return device


def prepare_corpus(config: Config, progress: Callable[[str], None] = print) -> TrainingData:
    """The corpus of ``config``, built on first use, or its task."""
    return prepare_training_data(config.data, config.tokenizer, cache_directory(), progress)


def run(
    config: Config,
    directory: Path,
    identity: RunIdentity,
    corpus: TrainingData | None = None,
    progress: Callback | None = None,
) -> dict[str, Any]:
    """Train and judge ``config`` in ``directory``; returns what ``results.json`` says.

    A finished run is read back, an interrupted one goes on where it was, ``config.fresh`` starts again;
    ``progress`` shows how it goes, by default on the console. Raises
    :class:`ConfigError` for settings that cannot be used, ``TrainingFailed`` where training cannot go on.
    """
    corpus = corpus or prepare_corpus(config)
    device = choose_device(config.device)
    config.evaluation.require_within(config.model.max_positions, config.trainer.sequence_length)
    build_probes(corpus, config.evaluation)
    with (
        RunFolder.open(directory, plain(config), device, config.fresh) as folder,
        prefer(usable(config.kernels, device)),
    ):
        results = read_json(directory / "results.json")
        judged_by = asdict(config.evaluation)
        if (
            results is not None
            and folder.status().get("state") == "done"
            and results["evaluation"] == judged_by
        ):
            return results
        folder.write_json("architecture.json", architecture(config.model))
        with tracking(config.tracker, folder, identity, tracked_settings(config)) as tracker:
            model = initialise(Decoder(config.model), config.seed).to(device)
            watchers = [progress or ConsoleProgress(), TrackerLog(tracker)]
            outcome = train_model(config, model, corpus, folder, watchers)
            results = {"contender": config.model.name, "seed": config.seed, "evaluation": judged_by}
            results |= judge(model, corpus, config.evaluation, config.trainer.sequence_length)
            results |= training_figures(outcome, size(config))
            results["throughput"]["train_tokens_per_second"] = outcome.tokens / outcome.seconds
            folder.write_json("results.json", results)
            tracker.log({"tokens": outcome.tokens, **headline(results)})
            tracker.artifact(f"{config.model.name}-results", "results", directory / "results.json", {})
    return results


def train_model(
    config: Config, model: Decoder, corpus: TrainingData, folder: RunFolder, callbacks: list[Callback]
) -> Outcome:
    """Train ``model`` by ``config`` in an open run folder, with ``callbacks`` beside those that every run has."""
    torch.manual_seed(config.seed)
    device = next(model.parameters()).device
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    trainer = config.trainer
    loader = open_loader(corpus, config.data, trainer.sequence_length, trainer.batch_size, config.seed)
    optimizer = build_optimizer(model, config.optimizer)
    plan = make_plan(
        trainer, size(config), optimizer.state_bytes(), device, rehearse(model, trainer.sequence_length)
    )
    folder.write_json("kernels.json", {"asked": config.kernels, "training_step": plan.kernels})
    schedule = Schedule(config.schedule, plan.steps)
    standard = [MetricsLog(), StatusFile(), Checkpoints()]
    return train(model, loader, plan, optimizer, schedule, folder, trainer, [*standard, *callbacks])


def rehearse(model: Decoder, length: int) -> dict[str, str]:
    """The kernel paths that a training step of ``model`` takes at ``length`` tokens a row, by operator.

    An operator that has no path of the kind that is asked for says so beside the one it takes.
    """
    device = next(model.parameters()).device
    tokens = torch.zeros(1, length, dtype=torch.long, device=device)
    positions = torch.arange(length, device=device).expand_as(tokens)
    forget_paths_taken()
    model.losses(tokens, tokens, tokens, positions)
    taken = {operator: "+".join(sorted(paths)) for operator, paths in paths_taken().items()}
    for operator in filter(lacks_preferred, taken):
        taken[operator] += f" (has no {preferred()} path)"
    forget_paths_taken()
    return taken


def tracked_settings(config: Config) -> dict[str, Any]:
    """The resolved configuration and the sizes a tracker's tables can be sorted by."""
    record = size(config)
    return plain(config) | {
        "n_params": record.parameters_total,
        "n_active": record.parameters_active,
        "flops_per_token": record.flops_per_token_training,
    }


def training_figures(outcome: Outcome, record: Size) -> dict[str, Any]:
    """The size and training sections of ``results.json``."""
    names = (
        "parameters_total",
        "parameters_active",
        "cache_bytes_per_token",
        "cache_bytes_fixed",
        "flops_per_token_forward",
        "flops_per_token_training",
    )
    return {
        "size": {name: getattr(record, name) for name in names},
        "training": {
            "tokens": outcome.tokens,
            "flops": outcome.flops,
            "steps": outcome.steps,
            "seconds": outcome.seconds,
            "final_loss": outcome.final_loss,
        },
    }


def headline(results: dict[str, Any]) -> dict[str, float]:
    """The figures a tracker shows, under slash names."""
    bits = results.get("bits_per_byte", {})
    figures = {f"eval/bits_per_byte/{language}": value for language, value in bits.items()}
    for name, probe in results.get("probes", {}).items():
        figures[f"eval/{name}/accuracy"] = probe["accuracy"]
    if "recall" in results["measures"]:
        figures["eval/recall/accuracy"] = results["measures"]["recall"]["mean"]
    return figures


def architecture(config: ModelConfig) -> dict[str, Any]:
    """What each layer is, and parameters by part: ``architecture.json``, for drawings."""
    layers = [
        {
            "mixer": layer.mixer,
            "window": layer.window,
            "feed_forward": "experts" if layer.sparse else "dense",
            "position": "none" if layer.rotation is None else "yarn" if layer.rotation.factor > 1 else "rope",
        }
        for layer in config.plan()
    ]
    return {"contender": config.name, "layers": layers, "parts": size_of_model(config, 1).parts}
