"""Behind :mod:`lab`: build a model, train it, or load a trained one."""

import signal
from dataclasses import replace
from pathlib import Path

import yaml

from lab import job
from lab.config import KINDS, Config, fingerprint, from_plain
from lab.data.corpus import corpus_directory
from lab.data.tokenizer import Tokenizer
from lab.errors import ConfigError
from lab.job import cache_directory
from lab.live import LiveCurve, kernel_undisturbed
from lab.model.checkpoint.companions import token_ids
from lab.model.checkpoint.reader import Checkpoint, decoder_of, open_ours, open_released
from lab.model.checkpoint.writer import OUR_CONFIG
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.notebook import REPOSITORY, in_notebook, located
from lab.report.runs import Run, read_run
from lab.schema import build_typed
from lab.trainer.checkpoint import newest_checkpoint
from lab.trainer.stop import TrainingInterrupted
from lab.trainer.tracker import RunIdentity

RUN_CONFIG = "config.yaml"


def build(config: Config) -> Decoder:
    """The model of ``config`` with initial weights drawn from ``config.seed``, on the CPU in float32."""
    return initialise(Decoder(config.model), config.seed)


def train(config: Config, steps: int | None = None) -> Run:
    """Train and judge ``config``, ``steps`` long if given, and read its run folder back.

    The folder is ``<output>/<name>``, or ``<output>/notebook/<model>-<hash of the settings>-s<seed>``; a relative
    ``output`` counts from the repository, so that the runs of notebooks lie beside those of commands. In a notebook
    the loss is drawn as it falls, elsewhere lines are printed. A finished run is read back. Interrupting ends with a
    checkpoint and a :class:`KeyboardInterrupt`; the same call goes on from there. Raises :class:`ConfigError` for
    settings that cannot be used, ``TrainingFailed`` where training cannot go on.
    """
    if steps is not None:
        trainer = replace(config.trainer, steps=steps, budget_flops=None, budget_tokens=None)
        config = replace(config, trainer=trainer)
    variant = f"{config.model.name}-{fingerprint(config)}"
    folder = REPOSITORY / config.output / (config.name or f"notebook/{variant}-s{config.seed}")
    progress = LiveCurve() if in_notebook() else None
    with kernel_undisturbed():
        try:
            job.run(config, folder, RunIdentity("notebook", variant, config.seed), progress=progress)
        except TrainingInterrupted as stop:
            if stop.code != 128 + signal.SIGINT:
                raise
            # A notebook knows this one: it stops "run all", and the kernel lives on.
            raise KeyboardInterrupt(stop.sentence) from None
    return read_run(folder)


def load(directory: str | Path) -> Decoder:
    """The model of a checkpoint folder in float32 on the CPU; see :func:`open_checkpoint` for what it may hold.

    A relative ``directory`` may also be one of the repository.
    """
    return decoder_of(open_checkpoint(located(directory)))


def load_with_tokenizer(directory: str | Path) -> tuple[Decoder, Tokenizer]:
    """The model of a checkpoint folder and its tokenizer; see :func:`open_checkpoint` and :func:`load_tokenizer`."""
    checkpoint = open_checkpoint(directory)
    tokenizer = load_tokenizer(directory)
    if tokenizer.vocab_size > checkpoint.config.vocab_size:
        raise ConfigError(
            f"checkpoint={directory} cannot be used: its tokenizer has {tokenizer.vocab_size} tokens, "
            f"its model {checkpoint.config.vocab_size}."
        )
    return decoder_of(checkpoint), tokenizer


def open_checkpoint(directory: str | Path) -> Checkpoint:
    """Open a checkpoint folder without reading its numbers.

    It is one of three: a run folder (``config.yaml``; the newest valid of ``checkpoints/``), a released checkpoint
    (``config.json``), or one that ``experiments.convert`` wrote under our own names (``model.yaml``). Raises
    :class:`ConfigError` where it is none of them, or damaged.
    """
    folder = Path(directory)
    if is_run(folder):
        checkpoint = newest_checkpoint(folder)
        if checkpoint is None:
            raise ConfigError(
                f"checkpoint={directory} holds no valid checkpoint: let the run write one first."
            )
        return open_ours(checkpoint, load_config(folder).model)
    if (folder / OUR_CONFIG).is_file():
        return open_ours(folder, _model_config(folder / OUR_CONFIG))
    if (folder / "config.json").is_file():
        return open_released(folder)
    raise ConfigError(
        f"checkpoint={directory} is neither a run folder nor a released checkpoint: it must hold {RUN_CONFIG} "
        f"and checkpoints/, or config.json, or {OUR_CONFIG}."
    )


def is_run(folder: Path) -> bool:
    """Whether a folder is a training run's."""
    return (folder / RUN_CONFIG).is_file()


def load_tokenizer(directory: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder: a run's from the corpus it was trained on, else ``tokenizer.json``.

    Raises :class:`ConfigError` where a run's corpus is no longer in the cache, or the numbers of the special tokens
    are nowhere in the folder.
    """
    folder = Path(directory)
    if is_run(folder):
        config = load_config(folder)
        corpus = corpus_directory(config.data, config.tokenizer, cache_directory())
        if not corpus.is_dir():
            raise ConfigError(
                f"checkpoint={directory} needs the tokenizer in {corpus}: run experiments.train once more."
            )
        return Tokenizer.load(corpus)
    ids = {key: value[0] if isinstance(value, list) else value for key, value in token_ids(folder).items()}
    for key in ("bos_token_id", "eos_token_id"):
        if key not in ids:
            raise ConfigError(
                f"checkpoint={directory} does not say which token it begins and ends with: config.json or "
                f"generation_config.json must hold {key}."
            )
    end = ids["eos_token_id"]
    return Tokenizer.load_released(folder, ids.get("pad_token_id", end), ids["bos_token_id"], end)


def load_config(run: Path) -> Config:
    """The typed configuration of a run folder."""
    return from_plain(yaml.safe_load((run / RUN_CONFIG).read_text(encoding="utf-8")))


def _model_config(path: Path) -> ModelConfig:
    try:
        return build_typed(ModelConfig, yaml.safe_load(path.read_text(encoding="utf-8")), KINDS)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} cannot be read: it must be a YAML file.") from error
